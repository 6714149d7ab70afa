insert into {schema}.checkout_{g} as c
  (order_id, state, outcome, attention, reservations, currency, total, started_at, version)
select order_id, state, outcome, attention, reservations::json, currency, total, started_at, version
  from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
              $8::timestamptz[], $9::bigint[])
    as e (order_id, state, outcome, attention, reservations, currency, total, started_at, version)
 order by order_id
    on conflict (order_id) do update set
       state = coalesce(excluded.state, c.state),
       outcome = coalesce(excluded.outcome, c.outcome),
       attention = coalesce(c.attention, excluded.attention),
       reservations = coalesce(excluded.reservations, c.reservations),
       currency = coalesce(excluded.currency, c.currency),
       total = coalesce(excluded.total, c.total),
       started_at = coalesce(excluded.started_at, c.started_at),
       version = excluded.version
