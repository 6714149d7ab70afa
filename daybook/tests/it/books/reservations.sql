-- What an order asked for was reserved or refused once; what was reserved was shipped if the order was, else
-- released, once and whole.
with asked as (
  select substr(o.stream, 7) as id, line ->> 'sku' as sku, sum((line ->> 'quantity')::bigint) as quantity
    from orders.event o, json_array_elements(o.payload -> 'lines') line
   where o.type = 'order.placed'
   group by 1, 2
), told as (
  select payload ->> 'order' as id, substr(stream, 7) as sku,
         count(*) filter (where type in ('stock.reserved', 'stock.reservation_refused')) as answers,
         sum((payload ->> 'quantity')::bigint) filter (where type = 'stock.reserved') as reserved,
         sum((payload ->> 'quantity')::bigint) filter (where type = 'stock.shipped') as shipped,
         sum((payload ->> 'quantity')::bigint) filter (where type = 'stock.released') as released,
         count(*) filter (where type in ('stock.shipped', 'stock.released')) as ends
    from inventory.event
   where payload ->> 'order' is not null
   group by 1, 2
), is_shipped as (
  select substr(stream, 7) as id from orders.event where type = 'order.shipped'
)
select format('order %s, %s: asked for %s, answered %s times, reserved %s, shipped %s, released %s',
              id, sku, a.quantity, t.answers, t.reserved, t.shipped, t.released)
  from asked a
  full join told t using (id, sku)
  left join is_shipped s using (id)
 where a.quantity is null
    or t.answers > 1
    or coalesce(t.reserved, 0) not in (0, a.quantity)
    or t.reserved is not null and t.ends <> 1
    or s.id is not null and t.shipped is distinct from a.quantity
    or s.id is null and t.shipped is not null
    or t.released is not null and t.released <> a.quantity
