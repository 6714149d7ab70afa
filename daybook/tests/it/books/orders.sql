-- Every order ended closed or cancelled, and its checkout with it.
with fate as (
  select substr(stream, 7) as id, (array_agg(type order by version desc))[1] as last,
         bool_or(type = 'order.cancelled') and bool_or(type = 'order.shipped') as is_both
    from orders.event
   group by stream
), checkout as (
  select substr(stream, 10) as id, count(*) filter (where type = 'checkout.started') as started,
         count(*) filter (where type = 'checkout.completed') as completed,
         count(*) filter (where type = 'checkout.needs_attention') as attention
    from checkout.event
   group by stream
)
select format('order %s: ended with %s; its checkout started %s times, completed %s times, needs attention %s times',
              id, last, started, completed, attention)
  from fate full join checkout using (id)
 where last is null or last not in ('order.closed', 'order.cancelled') or is_both
    or (started, completed, attention) is distinct from (1::bigint, 1::bigint, 0::bigint)
