-- The one that was live before the live one. It may have parked events, which wait for it to be posted by its followers.
select generation, exists (select from {schema}.parked p
                            where p.follower = g.projection and p.generation = g.generation)
  from {schema}.generation g
 where projection = $1 and version = $2 and state = 'old'
 order by ended_at desc nulls last, generation desc
 limit 1
