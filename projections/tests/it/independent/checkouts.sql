with told as (
  select substr(stream, 10)::uuid as id, version, substr(type, 10) as type, payload, occurred_at
    from checkout.event
), ended as (
  select id, max(version) filter (
           where type in ('retried', 'cancelled_by_hand', 'settled_by_hand', 'completed')) as version
    from told group by id
), since as (  -- what was told since attention ended
  select told.* from told join ended using (id) where told.version > coalesce(ended.version, 0)
), attention as (
  select distinct on (id) id, payload ->> 'reason' as attention, occurred_at as attention_since
    from since where type = 'needs_attention' order by id, version
), trouble as (
  select distinct on (id) id,
         case type when 'request_refused' then (payload ->> 'key') || ': ' || (payload ->> 'problem')
                   else payload ->> 'reason' end as trouble
    from since where type in ('capture_failed', 'void_failed', 'refund_failed', 'request_refused')
   order by id, version
), hand as (
  select distinct on (id) id, split_part(type, '_', 1) as hand_act, payload ->> 'reason' as hand_reason,
         payload ->> 'by' as hand_by, occurred_at as hand_at
    from told where type in ('retried', 'cancelled_by_hand', 'settled_by_hand') order by id, version desc
), whole as (
  select id, bool_or(type = 'completed') as is_completed,
         (array_agg(substr(type, 7) order by version desc)
           filter (where type in ('order_confirmed', 'order_cancelled')))[1] as outcome,
         max((payload -> 'reservations')::text) filter (where type = 'started') as reservations,
         max(payload -> 'total' ->> 'currency') filter (where type = 'started') as currency,
         max((payload -> 'total' ->> 'amount')::bigint) filter (where type = 'started') as total,
         max(occurred_at) filter (where type = 'started') as started_at,
         max(version) as version
    from told group by id
), derived as (
  select id, case when is_completed then 'completed' when attention is not null then 'needs-attention'
                  else 'running' end,
         outcome, ended.version, attention, attention_since, trouble, hand_act, hand_reason, hand_by, hand_at,
         reservations, currency, total, started_at, whole.version
    from whole join ended using (id) left join attention using (id) left join trouble using (id)
         left join hand using (id)
), posted as (
  select order_id, state, outcome, attention_ended, attention, attention_since, trouble, hand_act, hand_reason,
         hand_by, hand_at, reservations::text, currency, total, started_at, version
    from checkout_read.checkout_{g}
)
