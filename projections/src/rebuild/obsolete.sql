-- Of the generations that were live once all but the last one.
select generation from {schema}.generation
 where projection = $1 and version = $2 and state = 'old'
 order by ended_at desc nulls last, generation desc
offset 1
