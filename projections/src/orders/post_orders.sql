insert into {schema}.order_{g} as o
  (order_id, status, cancel_reason, customer, country, currency, shipping, discount, total, lines,
   shipments, units, shipped_units, placed_at, version)
select order_id, status, cancel_reason, customer, country, currency, shipping, discount, total, lines::json,
       shipments, units, shipped_units, placed_at, version
  from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
              $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::bigint[],
              $14::timestamptz[], $15::bigint[])
    as e (order_id, status, cancel_reason, customer, country, currency, shipping, discount, total, lines,
          shipments, units, shipped_units, placed_at, version)
 order by order_id
    on conflict (order_id) do update set
       status = excluded.status,
       cancel_reason = coalesce(excluded.cancel_reason, o.cancel_reason),
       customer = coalesce(excluded.customer, o.customer),
       country = coalesce(excluded.country, o.country),
       currency = coalesce(excluded.currency, o.currency),
       shipping = coalesce(excluded.shipping, o.shipping),
       discount = coalesce(excluded.discount, o.discount),
       total = coalesce(excluded.total, o.total),
       lines = coalesce(excluded.lines, o.lines),
       shipments = o.shipments || excluded.shipments,
       units = coalesce(excluded.units, o.units),
       shipped_units = o.shipped_units + excluded.shipped_units,
       placed_at = coalesce(excluded.placed_at, o.placed_at),
       version = excluded.version
