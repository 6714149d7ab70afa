insert into {schema}.sales_{g} as t (kind, key, currency, partition, orders, units, revenue)
select kind, key, currency, $1, orders, units, revenue
  from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
    as e (kind, key, currency, orders, units, revenue)
    on conflict (kind, key, currency, partition) do update set
       orders = t.orders + excluded.orders,
       units = t.units + excluded.units,
       revenue = t.revenue + excluded.revenue
