with told as (
  select substr(stream, 9)::uuid as id, version, substr(type, 9) as type, payload,
         (payload -> 'amount' ->> 'amount')::bigint as amount, occurred_at
    from payments.event
), asked as (
  select distinct on (id) id, payload, amount, occurred_at
    from told where type = 'authorisation_requested' order by id, version desc
), last as (
  select distinct on (id) id, version,
         case type when 'authorisation_requested' then 'authorise' when 'capture_requested' then 'capture'
                   when 'void_requested' then 'void' when 'refund_requested' then 'refund' end as pending,
         payload ->> 'reason' as failure
    from told order by id, version desc
), status as (
  select distinct on (id) id,
         case type when 'authorisation_requested' then 'requested' when 'authorisation_failed' then 'failed'
                   else type end as status
    from told
   where type not in ('capture_requested', 'capture_failed', 'void_requested', 'void_failed', 'refund_requested',
                      'refund_failed')
   order by id, version desc
), sums as (
  select id, coalesce(sum(amount) filter (where type = 'authorised'), 0)::bigint as authorised,
         coalesce(sum(amount) filter (where type = 'captured'), 0)::bigint as captured,
         coalesce(sum(amount) filter (where type = 'refunded'), 0)::bigint as refunded,
         max(payload ->> 'reference') filter (where type = 'authorised') as reference
    from told group by id
), derived as (
  select id, status, pending, failure, payload ->> 'method', payload -> 'amount' ->> 'currency', amount, authorised,
         captured, refunded, reference, occurred_at, version
    from asked join last using (id) join status using (id) join sums using (id)
), posted as (
  select order_id, status, pending, failure, method, currency, amount, authorised, captured, refunded, reference,
         requested_at, version
    from payments_read.payment_{g}
)
