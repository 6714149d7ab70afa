insert into {schema}.product_{g} as p (sku, name, price, currency, status, words, version)
select sku, name, price, currency, status, array_to_tsvector(string_to_array(words, ' ')), version
  from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[])
    as e (sku, name, price, currency, status, words, version)
 order by sku collate "C"
    on conflict (sku) do update set
       name = coalesce(excluded.name, p.name),
       price = coalesce(excluded.price, p.price),
       currency = coalesce(excluded.currency, p.currency),
       status = coalesce(excluded.status, p.status),
       words = coalesce(excluded.words, p.words),
       version = excluded.version
