-- Whether generation $3 has yet to post something that generation $2 has posted.
select exists (
  select from {schema}.checkpoint o
   where o.follower = $1 and o.generation = $2 and o.next_offset > coalesce((
     select n.next_offset from {schema}.checkpoint n
      where n.follower = o.follower and n.generation = $3
        and n.service = o.service and n.partition = o.partition), 0))
