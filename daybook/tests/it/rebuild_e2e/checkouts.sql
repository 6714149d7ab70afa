with derived as (
  select substr(stream, 10)::uuid,
         case when bool_or(type = 'checkout.completed') then 'completed'
              when bool_or(type = 'checkout.needs_attention') then 'needs-attention' else 'running' end,
         (array_agg(substr(type, 16) order by version desc)
           filter (where type in ('checkout.order_confirmed', 'checkout.order_cancelled')))[1],
         (array_agg(payload ->> 'reason' order by version) filter (where type = 'checkout.needs_attention'))[1],
         max((payload -> 'reservations')::text) filter (where type = 'checkout.started'),
         max(payload -> 'total' ->> 'currency') filter (where type = 'checkout.started'),
         max((payload -> 'total' ->> 'amount')::bigint) filter (where type = 'checkout.started'),
         max(occurred_at) filter (where type = 'checkout.started'),
         max(version)
    from checkout.event
   group by stream
), posted as (
  select order_id, state, outcome, attention, reservations::text, currency, total, started_at, version
    from checkout_read.checkout_{g}
)
