insert into {schema}.order_event_{g}
  (order_id, version, event_id, type, schema_version, payload, correlation, causation, actor, occurred_at,
   recorded_at)
select order_id, version, event_id, type, schema_version, payload::json, correlation, causation, actor,
       occurred_at, recorded_at
  from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::int[], $6::text[], $7::text[],
              $8::uuid[], $9::text[], $10::timestamptz[], $11::timestamptz[])
    as e (order_id, version, event_id, type, schema_version, payload, correlation, causation, actor,
          occurred_at, recorded_at)
