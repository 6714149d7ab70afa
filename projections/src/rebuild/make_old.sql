update {schema}.generation set state = 'old' where projection = $1 and version = $2 and state = 'live'
