select generation, version from {schema}.generation where projection = $1 and state = 'live'
