insert into {schema}.stock_{g} as s (sku, on_hand, reserved, version)
select sku, on_hand, reserved, version
  from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) as e (sku, on_hand, reserved, version)
 order by sku collate "C"
    on conflict (sku) do update set
       on_hand = s.on_hand + excluded.on_hand,
       reserved = s.reserved + excluded.reserved,
       version = excluded.version
