create index stock_available_{g} on {schema}.stock_{g} (available);
