-- How far a generation has posted; what has posted nothing is as if it were not there.
select service, partition, next_offset, epoch, last_event_id
  from {schema}.checkpoint
 where follower = $1 and generation = $2 and next_offset > 0
 order by service, partition
