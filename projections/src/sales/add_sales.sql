insert into {schema}.sale_{g}
  (order_id, partition, day, country, customer, currency, units, revenue, products, counted)
select order_id, $1, day, country, customer, currency, units, revenue, products::json, counted
  from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
              $9::text[], $10::boolean[])
    as e (order_id, day, country, customer, currency, units, revenue, products, counted)
