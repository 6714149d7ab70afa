with placed as (
  insert into {schema}.sale_{g}
    (order_id, partition, day, country, customer, currency, units, revenue, products, counted)
  select order_id, $1, day, country, customer, currency, units, revenue, products::json, counted
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
                $9::text[], $10::boolean[])
      as e (order_id, day, country, customer, currency, units, revenue, products, counted)
  returning *
), changed as (
  update {schema}.sale_{g} s
     set counted = e.counted
    from unnest($11::uuid[], $12::boolean[]) as e (order_id, counted)
   where s.order_id = e.order_id and s.counted <> e.counted
  returning s.*
), moved as (
  select 1 as sign, placed.* from placed where counted
  union all
  select case when counted then 1 else -1 end, changed.* from changed
), parts (kind, key, currency, orders, units, revenue) as (
  select part.kind, part.key, currency, sign, sign * units, sign * revenue
    from moved, lateral (values ('day', day), ('country', country), ('customer', customer)) as part (kind, key)
  union all
  select 'product', product.sku, currency, sign, sign * product.units, sign * product.revenue
    from moved, lateral json_to_recordset(products) as product (sku text, units bigint, revenue bigint)
)
insert into {schema}.sales_{g} as t (kind, key, currency, partition, orders, units, revenue)
select kind, key, currency, $1, sum(orders), sum(units), sum(revenue)
  from parts
 group by kind, key, currency
    on conflict (kind, key, currency, partition) do update set
       orders = t.orders + excluded.orders,
       units = t.units + excluded.units,
       revenue = t.revenue + excluded.revenue
