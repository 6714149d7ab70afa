select version, event_id, type, schema_version, payload::text as payload,
       correlation, causation, actor, occurred_at, recorded_at
  from {schema}.order_event_{g}
 where true {filters}
 order by version {up}
