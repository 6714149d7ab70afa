select service, partition, next_offset, epoch, last_event_id
  from {schema}.checkpoint
 where follower = $1 and generation = $2
