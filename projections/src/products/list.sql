select sku, name, price, currency, status, version
  from {schema}.product_{g}
 where name is not null {filters}
 order by sku {up}
