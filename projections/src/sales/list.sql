select key, currency, sum(orders)::bigint as orders, sum(units)::bigint as units, sum(revenue)::bigint as revenue
  from {schema}.sales_{g}
 where true {filters}
 group by key, currency
 order by key {up}, currency {up}
