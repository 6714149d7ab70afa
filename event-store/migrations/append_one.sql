-- The short form of `append` for one command with one event, as it comes when little happens: the same promises with
-- half of the statements. Gives the event's offset and when it was recorded; null is whatever does not pass, and changes
-- nothing: `append` says why.
create function {service}.append_one(
  _partition int, _epoch int, _stream text, _expected bigint, _command_id uuid, _event_id uuid, _type text,
  _schema_version int, _payload json, _metadata json, _occurred_at timestamptz,
  out first_offset bigint, out recorded_at timestamptz)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $f$
#variable_conflict use_column
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'append needs READ COMMITTED' using errcode = '25001';
  end if;
  perform from {service}.log_partition p where p.partition = _partition and p.epoch = _epoch for no key update;
  if not found then
    raise exception 'a partition of {service} is missing or has a newer epoch' using errcode = 'DB002';
  end if;
  -- from here on every statement has a snapshot taken under the lock
  insert into {service}.event (partition, log_offset, stream, version, event_id, command_id, ordinal, type,
                               schema_version, payload, metadata, occurred_at, recorded_at)
  select _partition, coalesce(l.log_offset + 1, 0), _stream, _expected + 1, _event_id, _command_id, 0, _type,
         _schema_version, _payload, _metadata, _occurred_at, greatest(clock_timestamp(), l.recorded_at)
    from (select) one
    left join lateral (select e.log_offset, e.recorded_at from {service}.event e
                        where e.partition = _partition order by e.log_offset desc limit 1) l on true
   where coalesce((select v.version from {service}.event v where v.stream = _stream order by v.version desc limit 1), 0) = _expected
     and (_expected = 0
          or not exists (select from {service}.event k where k.stream = _stream and k.command_id = _command_id and k.ordinal = 0))
  returning log_offset, recorded_at into first_offset, recorded_at;
end $f$;

-- Returns when the append that is under way in a partition has ended: what is read then is not about to be outdated.
create function {service}.turn(_partition int) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $f$
begin
  perform from {service}.log_partition p where p.partition = _partition for no key update;
end $f$;

revoke all on function {service}.append_one, {service}.turn from public;
grant execute on function {service}.append_one, {service}.turn to {service}_service;
