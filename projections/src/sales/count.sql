update {schema}.sale_{g} s
   set counted = e.counted
  from unnest($1::uuid[], $2::boolean[]) as e (order_id, counted)
 where s.order_id = e.order_id and s.counted <> e.counted
returning s.day, s.country, s.customer, s.currency, s.units, s.revenue, s.products::text as products, s.counted
