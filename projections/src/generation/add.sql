insert into {schema}.generation (projection, version, generation, state)
select $1, $2, coalesce(max(generation), 0) + 1, $3 from {schema}.generation where projection = $1
returning generation
