with stream as (
  select substr(stream, 7)::uuid as id, max(version) as version,
         (array_agg(substr(type, 7) order by version desc))[1] as status,
         max(payload ->> 'reason') filter (where type = 'order.cancelled') as cancel_reason
    from orders.event
   group by stream
), placed as (
  select substr(stream, 7)::uuid as id, payload, occurred_at,
         (select sum((line ->> 'quantity')::bigint) from json_array_elements(payload -> 'lines') line) as units
    from orders.event
   where type = 'order.placed'
), shipped as (
  select substr(stream, 7)::uuid as id, 
         string_agg((line ->> 'line') || ':' || (line ->> 'quantity') || ' ', '' order by version, nth) as shipments,
         sum((line ->> 'quantity')::bigint) as units
    from orders.event, json_array_elements(payload -> 'lines') with ordinality as part (line, nth)
   where type = 'order.shipped'
   group by 1
), paid as (
  select distinct on (stream) substr(stream, 9)::uuid as id,
         case type when 'payment.authorisation_requested' then 'requested'
                   when 'payment.authorisation_failed' then 'failed'
                   else substr(type, 9) end as status
    from payments.event
   where type not in ('payment.capture_requested', 'payment.capture_failed', 'payment.void_requested',
                      'payment.void_failed', 'payment.refund_requested', 'payment.refund_failed')
   order by stream, version desc
), derived as (
  select p.id, s.status, coalesce(paid.status, 'none'),
         case when shipped.units is null then 'unfulfilled' when shipped.units < p.units then 'partially-fulfilled'
              else 'fulfilled' end,
         s.cancel_reason, payload ->> 'customer', payload ->> 'country', payload -> 'total' ->> 'currency',
         (payload -> 'shipping' ->> 'amount')::bigint, (payload -> 'discount' ->> 'amount')::bigint,
         (payload -> 'total' ->> 'amount')::bigint, (payload -> 'lines')::jsonb, coalesce(shipments, ''),
         p.units::bigint, coalesce(shipped.units, 0)::bigint, p.occurred_at, s.version
    from placed p join stream s using (id) left join shipped using (id) left join paid using (id)
  union all  -- what payments know of an order that has not been placed as far as orders go
  select id, null, status, 'unfulfilled', null, null, null, null, null, null, null, null, '', null, 0, null, null
    from paid where id not in (select id from stream)
), posted as (
  select order_id, status, payment_status, fulfilment_status, cancel_reason, customer, country, currency,
         shipping, discount, total, lines::jsonb, shipments, units, shipped_units, placed_at, version
    from orders_read.order_{g}
)
