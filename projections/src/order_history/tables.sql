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

-- An order of twenty lines is more than Postgres stores as they are. Where it knows lz4 (from 14 on,
-- if built so), that takes it a fraction of the time.
do $$ begin
  execute 'alter table {schema}.order_event_{g} alter column payload set compression lz4';
exception when feature_not_supported or syntax_error then
  null;
end $$;
