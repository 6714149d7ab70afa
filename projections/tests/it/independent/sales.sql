with fate as (
  select stream, bool_or(type = 'order.confirmed') and not bool_or(type = 'order.cancelled') as counted
    from orders.event group by stream
), placed as (
  select stream, partition, counted, (occurred_at at time zone 'UTC')::date::text as day, payload ->> 'country' as country,
         coalesce(payload ->> 'customer', '') as customer, payload -> 'total' ->> 'currency' as currency,
         (payload -> 'total' ->> 'amount')::bigint as total, payload -> 'lines' as lines
    from orders.event join fate using (stream)
   where type = 'order.placed'
), line as (
  select stream, partition, counted, currency, line ->> 'sku' as sku, (line ->> 'quantity')::bigint as units,
         (line ->> 'quantity')::bigint * (line -> 'unit_price' ->> 'amount')::bigint as revenue
    from placed, json_array_elements(lines) line
), sale as (
  select p.*, (select sum(units) from line where line.stream = p.stream) as units from placed p
), derived as (
  select 'sale' as what, substr(stream, 7) as key, currency, partition, 1::bigint as orders, units::bigint,
         total as revenue, format('%s %s %s %s', day, country, customer, counted) as more
    from sale
  union all
  select kind, key, currency, partition, count(*), sum(units)::bigint, sum(total)::bigint, ''
    from sale, lateral (values ('day', day), ('country', country), ('customer', customer)) as by (kind, key)
   where counted
   group by kind, key, currency, partition
  union all
  select 'product', sku, currency, partition, count(distinct stream), sum(units)::bigint, sum(revenue)::bigint, ''
    from line
   where counted
   group by sku, currency, partition
), posted as (
  select 'sale', order_id::text, currency, partition, 1::bigint, units, revenue,
         format('%s %s %s %s', day, country, customer, counted)
    from orders_read.sale_{g}
  union all
  select kind, key, currency, partition, orders, units, revenue, '' from orders_read.sales_{g}
)
