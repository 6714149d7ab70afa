select sku, on_hand, reserved, available, version
  from {schema}.stock_{g}
 where true {filters}
 order by sku {up}
