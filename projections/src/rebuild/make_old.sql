update {schema}.generation set state = 'old', ended_at = clock_timestamp()
 where projection = $1 and version = $2 and state = 'live'
