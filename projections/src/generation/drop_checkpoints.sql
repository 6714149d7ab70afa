delete from {schema}.checkpoint where follower = $1 and generation = $2
