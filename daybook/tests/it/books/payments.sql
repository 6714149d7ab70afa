-- A shipped order is paid in full, of a cancelled one nothing is held, and nobody gets back more than was taken.
with priced as (
  select substr(stream, 7) as id,
         max((payload -> 'total' ->> 'amount')::bigint) as total,
         bool_or(type = 'order.shipped') as is_shipped
    from orders.event
   group by stream
), paid as (
  select substr(stream, 9) as id,
         coalesce(sum((payload -> 'amount' ->> 'amount')::bigint) filter (where type = 'payment.authorised'), 0) as authorised,
         coalesce(sum((payload -> 'amount' ->> 'amount')::bigint) filter (where type = 'payment.captured'), 0) as captured,
         coalesce(sum((payload -> 'amount' ->> 'amount')::bigint) filter (where type = 'payment.refunded'), 0) as refunded,
         count(*) filter (where type = 'payment.voided') as voids
    from payments.event
   group by stream
)
select format('order %s of %s, shipped: %s; authorised %s, captured %s, voided %s times, refunded %s',
              id, total, is_shipped, authorised, captured, voids, refunded)
  from priced full join paid using (id)
 where total is null
    or coalesce(authorised, 0) not in (0, total)
    or coalesce(captured, 0) <> (case when is_shipped then total else 0 end)
    or authorised > 0 and captured = 0 and voids <> 1
    or captured > 0 and voids > 0
    or refunded > captured
