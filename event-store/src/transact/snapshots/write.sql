-- Nothing is written of a state whose last event is gone, or may be: its epoch is no longer the partition's.
-- What an older binary folded goes when a newer one has its own.
with older as (
  delete from {service}_read.snapshot where stream = $1 and state_version < $2)
insert into {service}_read.snapshot as s (stream, state_version, version, event_id, recorded_at, state)
select e.stream, $2, e.version, e.event_id, e.recorded_at, $6
  from {service}.event e join {service}.log_partition p on p.partition = e.partition
 where e.stream = $1 and e.version = $3 and e.event_id = $4 and p.epoch = $5
on conflict (stream, state_version) do update
   set version = excluded.version, event_id = excluded.event_id, recorded_at = excluded.recorded_at,
       state = excluded.state
