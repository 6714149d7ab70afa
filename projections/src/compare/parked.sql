-- The streams of which one of two generations has parked events: the first of those that are known to be wrong, and which
-- of the two has one.
with of_both as (select * from {schema}.parked where follower = $1 and generation in ($2, $3))
select distinct on (stream) stream, service, partition, epoch, log_offset, coalesce(reason, '') as reason,
  (select bool_or(o.generation = $2) from of_both o where o.stream = p.stream) as by_live,
  (select bool_or(o.generation = $3) from of_both o where o.stream = p.stream) as by_replay
from of_both p order by stream, reason is null, log_offset, generation
