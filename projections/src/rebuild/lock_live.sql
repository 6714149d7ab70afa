-- Whoever follows the live generation waits at these rows before he posts.
select service, partition, next_offset
  from {schema}.checkpoint
 where follower = $1 and generation = $2
 order by service, partition
   for update
