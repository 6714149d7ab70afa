delete from {schema}.parked where follower = $1 and generation = $2
