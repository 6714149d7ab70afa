update {schema}.generation set state = 'live'
 where projection = $1 and generation = $2 and state in ('building', 'old')
