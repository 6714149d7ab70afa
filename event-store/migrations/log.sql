-- The log of service {service}: belongs to the migrator; the service's role may select and execute.
create table {service}.log_partition (
  partition int primary key,  -- a row to lock, never updated by an append
  epoch int not null
);

create table {service}.log_epoch (
  partition int not null references {service}.log_partition,
  epoch int not null,
  first_offset bigint not null,
  system_identifier bigint not null,
  timeline text not null,
  opened_at timestamptz not null default clock_timestamp(),
  primary key (partition, epoch)
);

create table {service}.event (
  partition int not null,
  log_offset bigint not null,
  stream text collate "C" not null,  -- "C": compared by bytes, whatever the database's locale
  version bigint not null,
  event_id uuid not null,
  command_id uuid not null,
  ordinal int not null,
  type text collate "C" not null,
  schema_version int not null,
  payload json not null,
  metadata json not null,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  constraint event_position primary key (partition, log_offset),
  constraint event_stream_version unique (stream, version)
);

create unique index event_command on {service}.event (stream, command_id) where ordinal = 0;

create function {service}.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'the log is append-only' using errcode = 'restrict_violation';
end $$;

create trigger event_row before update or delete on {service}.event
  for each row execute function {service}.refuse();
create trigger event_table before truncate on {service}.event
  for each statement execute function {service}.refuse();

alter table {service}.event set (
  autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_freeze_min_age = 0);
