-- One call for a batch of chains over several partitions; DESIGN of the log: lock first, then read, then one insert.
--
-- A chain is the commands of one stream that stand or fall together. The client guarantees: a stream (a chain)
-- and a (stream, command) appear once in a call; commands of a chain are adjacent; events come in the order of
-- their commands; _version counts on from the chain's expected version; _rank counts the events of a partition
-- from 0 in the order sent.
--
-- All pass: ONE row with entry 0, 'ok', the first offset of each partition in `bases`, and when they were recorded.
-- Otherwise one row per command:
--   ok        appended: its first version and offset, and when it was recorded
--   already   it is in the log: its first version, offset, number of events and fingerprint
--   again     fell with its chain beside an `already`
--   conflict  version = the actual one
--
-- force_generic_plan and enable_seqscan = off go together: with the first alone, on a table vacuumed while empty, the
-- probes become sequential scans until a replan. unnest stands in the select list (ProjectSet): in `from` it fills a
-- tuplestore per array. Set-returning functions may not stand in `case`.
create function {service}.append(
  _parts int[], _epochs int[],
  -- one element per command; expected null: chained on the command before it
  _stream text[], _expected bigint[], _command_id uuid[], _part int[],
  -- one element per event; entry: the command it belongs to, from 1; null: event i belongs to command i, one each
  _entry int[], _event_stream text[], _event_command uuid[], _event_part int[], _version bigint[], _ordinal int[],
  _rank bigint[], _event_id uuid[], _type text[], _schema_version int[], _payload json[], _metadata json[],
  _occurred_at timestamptz[])
returns table (entry int, verdict text, version bigint, first_offset bigint, events int, fingerprint text, bases bigint[],
               recorded_at timestamptz)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $f$
#variable_conflict use_column
declare
  _n int := coalesce(cardinality(_event_id), 0);
  _good bigint; _bad bigint; _base bigint[]; _at timestamptz;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'append needs READ COMMITTED' using errcode = '25001';
  end if;
  if _n > 0 then
    select count(*) into _good
      from (select p.partition, p.epoch from {service}.log_partition p
             where p.partition = any (_parts) order by p.partition for no key update) x
      join (select unnest(_parts) as partition, unnest(_epochs) as epoch) w
        on w.partition = x.partition and w.epoch = x.epoch;
  else
    select count(*) into _good
      from {service}.log_partition x
      join (select unnest(_parts) as partition, unnest(_epochs) as epoch) w
        on w.partition = x.partition and w.epoch = x.epoch;
  end if;
  if _good <> cardinality(_parts) then
    raise exception 'a partition of {service} is missing or has a newer epoch' using errcode = 'DB002';
  end if;

  -- from here on every statement has a snapshot taken under the locks
  select count(*) into _bad
    from (select unnest(_stream) s, unnest(_expected) x, unnest(_command_id) c) u
   where case
           when x = 0 then (select v.version from {service}.event v where v.stream = s order by v.version desc limit 1) is not null
           when x is null then (select k.version from {service}.event k where k.stream = s and k.command_id = c and k.ordinal = 0) is not null
           else x is distinct from (select v.version from {service}.event v where v.stream = s order by v.version desc limit 1)
             or (select k.version from {service}.event k where k.stream = s and k.command_id = c and k.ordinal = 0) is not null
         end;
  if _n > 0 then
    select array_agg(coalesce(l.log_offset + 1, 0) order by o), greatest(clock_timestamp(), max(l.recorded_at)) into _base, _at
      from unnest(_parts) with ordinality u(p, o)
      left join lateral (select e.log_offset, e.recorded_at from {service}.event e
                          where e.partition = p order by e.log_offset desc limit 1) l on true;
  end if;

  if _bad = 0 then
    if _n > 0 and _entry is null then
      insert into {service}.event (partition, log_offset, stream, version, event_id, command_id, ordinal, type,
                                   schema_version, payload, metadata, occurred_at, recorded_at)
      select _parts[unnest(_part)], _base[unnest(_part)] + unnest(_rank), unnest(_stream), unnest(_expected) + 1,
             unnest(_event_id), unnest(_command_id), 0, unnest(_type), unnest(_schema_version), unnest(_payload),
             unnest(_metadata), unnest(_occurred_at), _at;
    elsif _n > 0 then
      insert into {service}.event (partition, log_offset, stream, version, event_id, command_id, ordinal, type,
                                   schema_version, payload, metadata, occurred_at, recorded_at)
      select _parts[unnest(_event_part)], _base[unnest(_event_part)] + unnest(_rank), unnest(_event_stream),
             unnest(_version), unnest(_event_id), unnest(_event_command), unnest(_ordinal), unnest(_type),
             unnest(_schema_version), unnest(_payload), unnest(_metadata), unnest(_occurred_at), _at;
    end if;
    entry := 0; verdict := 'ok'; bases := _base; events := _n; recorded_at := _at;
    return next;
    return;
  end if;

  -- some do not pass: insert those that do, one row per command
  if _entry is null and _n > 0 then
    _entry := array(select generate_series(1, _n));
    _event_stream := _stream; _event_command := _command_id; _event_part := _part;
    _version := array(select x + 1 from unnest(_expected) x); _ordinal := array_fill(0, array[_n]);
  end if;
  return query
  with k as materialized (
    select o, s, x, c, count(x) over (order by o) as chain,
           case when x is not null then coalesce((select v.version from {service}.event v where v.stream = s order by v.version desc limit 1), 0) end as actual,
           (select k.version from {service}.event k where k.stream = s and k.command_id = c and k.ordinal = 0) as seen
      from (select generate_series(1, cardinality(_stream)) o, unnest(_stream) s, unnest(_expected) x, unnest(_command_id) c) u),
  h as materialized (
    select o, s, x, c, seen, first_value(actual) over w as actual, bool_or(seen is not null) over w as chain_seen,
           first_value(x = actual) over w and not bool_or(seen is not null) over w as ok
      from k window w as (partition by chain order by o rows between unbounded preceding and unbounded following)),
  e as materialized (
    select generate_series(1, _n) as o, unnest(_entry) as entry, unnest(_event_stream) as s, unnest(_version) as v,
           unnest(_event_command) as c, unnest(_event_part) as part, unnest(_ordinal) as d, unnest(_event_id) as i, unnest(_type) as t,
           unnest(_schema_version) as sv, unnest(_payload) as p, unnest(_metadata) as m, unnest(_occurred_at) as oc),
  z as materialized (
    select e.*, _base[e.part] + row_number() over (partition by e.part order by e.o) - 1 as off
      from e join h on h.o = e.entry where h.ok),
  ins as (
    insert into {service}.event (partition, log_offset, stream, version, event_id, command_id, ordinal, type,
                                 schema_version, payload, metadata, occurred_at, recorded_at)
    select _parts[z.part], z.off, z.s, z.v, z.i, z.c, z.d, z.t, z.sv, z.p, z.m, z.oc, _at from z order by z.o),
  g as materialized (select z.entry, min(z.v) as v, min(z.off) as off, count(*)::int as n from z group by z.entry)
  select h.o,
         case when h.seen is not null then 'already' when h.ok then 'ok' when h.chain_seen then 'again' else 'conflict' end,
         case when h.seen is not null then h.seen when h.ok then g.v else h.actual end,
         case when h.seen is not null then f.log_offset when h.ok then g.off end,
         case when h.seen is not null then
                (coalesce((select y.version from {service}.event y where y.stream = h.s and y.version > h.seen and y.command_id <> h.c order by y.version limit 1),
                          (select y.version + 1 from {service}.event y where y.stream = h.s order by y.version desc limit 1)) - h.seen)::int
              when h.ok then coalesce(g.n, 0) else 0 end,
         f.metadata ->> 'fingerprint',
         null::bigint[],
         case when h.ok then _at end
    from h left join g on g.entry = h.o
    left join {service}.event f on f.stream = h.s and f.version = h.seen
   order by h.o;
end $f$;

-- Opens the next epoch behind what the log holds now: in every partition, or only where the last one was opened on
-- another server or timeline than this.
create function {service}.open_epoch(_everywhere boolean) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $f$
declare
  _system bigint := (select system_identifier from pg_control_system());
  _timeline text := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
  _p record;
begin
  for _p in select p.partition, p.epoch from {service}.log_partition p order by p.partition for update loop
    insert into {service}.log_epoch (partition, epoch, first_offset, system_identifier, timeline)
    select _p.partition, _p.epoch + 1,
           coalesce((select max(v.log_offset) + 1 from {service}.event v where v.partition = _p.partition), 0), _system, _timeline
     where _everywhere
        or exists (select from {service}.log_epoch e where e.partition = _p.partition and e.epoch = _p.epoch
                      and (e.system_identifier <> _system or e.timeline <> _timeline));
    if found then
      update {service}.log_partition set epoch = _p.epoch + 1 where partition = _p.partition;
    end if;
  end loop;
end $f$;

-- The epochs with which a writer may append. Called at every connection; on another server or timeline the next one is opened.
create function {service}.writer_epochs() returns table (partition int, epoch int)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $f$
#variable_conflict use_column
declare
  _system bigint := (select system_identifier from pg_control_system());
  _timeline text := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);
begin
  if exists (select from {service}.log_partition p join {service}.log_epoch e on e.partition = p.partition and e.epoch = p.epoch
              where e.system_identifier <> _system or e.timeline <> _timeline) then
    perform {service}.open_epoch(false);
  end if;
  return query select p.partition, p.epoch from {service}.log_partition p order by p.partition;
end $f$;

revoke all on all functions in schema {service} from public;
grant usage on schema {service} to {service}_service;
grant select on all tables in schema {service} to {service}_service;
grant execute on function {service}.append, {service}.writer_epochs to {service}_service;
