with product as (
  select substr(stream, 9) as sku, max(version) as version,
         (array_agg(payload ->> 'name' order by version desc) filter (where payload ->> 'name' is not null))[1] as name,
         (array_agg(payload -> 'price' order by version desc) filter (where payload -> 'price' is not null))[1] as price,
         bool_or(type = 'product.discontinued') as is_discontinued
    from catalogue.event
   group by stream
), derived as (
  select sku, name, (price ->> 'amount')::bigint, price ->> 'currency',
         case when is_discontinued then 'discontinued' else 'listed' end,
         array_to_tsvector(array(
           select lower(word) from regexp_split_to_table(name || ' ' || sku, '[^[:alnum:]]+') word where word <> '')),
         version
    from product
), posted as (
  select sku, name, price, currency, status, words, version from catalogue_read.product_{g}
)
