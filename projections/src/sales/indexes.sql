create index sales_none_{g} on {schema}.sales_{g} (partition) where orders = 0;
