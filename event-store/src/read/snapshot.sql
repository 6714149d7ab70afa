with snapshot as materialized (
  select s.version as folded_to, s.state
    from {service}_read.snapshot s
    join {service}.event e on e.stream = s.stream and e.version = s.version
                          and e.event_id = s.event_id and e.recorded_at = s.recorded_at
   where s.stream = $1 and s.state_version = $2)
select {columns}, case version when (select folded_to from snapshot) then (select state from snapshot) end as snapshot_state
  from {service}.event
 where stream = $1 and version >= coalesce((select folded_to from snapshot), 1)
 order by version limit $3
