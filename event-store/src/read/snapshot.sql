with snapshot as materialized (
  select s.version as folded_to, s.state as snapshot_state
    from {service}_read.snapshot s
    join {service}.event k on k.stream = s.stream and k.version = s.version
                          and k.event_id = s.event_id and k.recorded_at = s.recorded_at
   where s.stream = $1 and s.state_version = $2)
select {columns}, snapshot_state
  from {service}.event left join snapshot on folded_to = version
 where stream = $1 and version >= coalesce((select folded_to from snapshot), 1)
 order by version limit $3
