select projection, version, generation from {schema}.generation where state = 'live'
