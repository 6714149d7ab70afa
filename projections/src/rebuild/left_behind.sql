select generation from {schema}.generation where projection = $1 and version = $2 and state = 'building'
