copy {schema}.order_event_{g}
  (order_id, version, event_id, type, schema_version, payload, correlation, causation, actor, occurred_at,
   recorded_at)
from stdin (format binary)
