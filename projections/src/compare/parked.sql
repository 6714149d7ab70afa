-- The streams of which one of two generations has parked events.
select distinct stream from {schema}.parked where follower = $1 and generation = any ($2::int[]) order by 1
