-- What a new generation of version $2 is compared with: the live one of its version, else the newest other one.
select generation, version from {schema}.generation
 where projection = $1 and state = 'live'
 order by version = $2 desc, version desc
 limit 1
