create table {schema}.order_event_{g} (
  order_id uuid not null,
  version bigint not null,
  event_id uuid not null,
  type text not null,
  schema_version int not null,
  payload json not null,
  correlation text not null,
  causation uuid,
  actor text not null,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  primary key (order_id, version)
);
