-- Every generation of a projection, how far it has posted, and the room that its rows take.
select g.version, g.generation, g.state, g.created_at,
       (select coalesce(sum(c.next_offset), 0)::bigint from {schema}.checkpoint c
         where c.follower = g.projection and c.generation = g.generation),
       (select coalesce(sum(pg_total_relation_size(to_regclass('{schema}.' || t.name || '_' || g.generation))), 0)::bigint
          from unnest($2::text[]) as t (name))
  from {schema}.generation g
 where g.projection = $1
 order by g.generation
