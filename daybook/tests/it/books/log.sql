-- Offsets and versions count on without a hole, and a command has acted once.
select format('partition %s: %s events from %s to %s', partition, count(*), min(log_offset), max(log_offset))
  from {service}.event
 group by partition
having min(log_offset) <> 0 or max(log_offset) + 1 <> count(*)
union all
select format('%s: %s events from %s to %s', stream, count(*), min(version), max(version))
  from {service}.event
 group by stream
having min(version) <> 1 or max(version) <> count(*)
union all
select format('%s: %s acted %s times', stream, command_id, count(*))
  from {service}.event
 where ordinal = 0
 group by stream, command_id
having count(*) > 1
