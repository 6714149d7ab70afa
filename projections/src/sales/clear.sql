delete from {schema}.sales_{g} where partition = $1 and orders = 0
