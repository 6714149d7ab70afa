insert into {schema}.order_event_{g}
  (order_id, version, event_id, type, payload, correlation, causation, actor, occurred_at, recorded_at)
select order_id, version, event_id, type, payload::json, correlation, causation, actor, occurred_at, recorded_at
  from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[],
              $8::text[], $9::timestamptz[], $10::timestamptz[])
    as e (order_id, version, event_id, type, payload, correlation, causation, actor, occurred_at, recorded_at)
