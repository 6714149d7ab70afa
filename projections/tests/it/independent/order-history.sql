with derived as (
  select substr(stream, 7)::uuid, version, event_id, type, schema_version, payload::text, metadata ->> 'correlation',
         (metadata ->> 'causation')::uuid, metadata ->> 'actor', occurred_at, recorded_at
    from orders.event
), posted as (
  select order_id, version, event_id, type, schema_version, payload::text, correlation, causation, actor,
         occurred_at, recorded_at
    from orders_read.order_event_{g}
)
