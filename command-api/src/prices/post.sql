-- Each SKU at most once, in the order of the SKUs; what is null stays as it is.
insert into orders_read.price as price (sku, amount, currency, discontinued)
select * from unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[])
on conflict (sku) do update set
  amount = coalesce(excluded.amount, price.amount),
  currency = coalesce(excluded.currency, price.currency),
  discontinued = excluded.discontinued
