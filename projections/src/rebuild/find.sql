select version, state = 'live' from {schema}.generation where projection = $1 and generation = $2
