-- Amounts are in minor units. No amount: the product is known, its price is not yet.
create table if not exists orders_read.price (
  sku text primary key,
  amount bigint,
  currency text,
  discontinued boolean not null default false
)
