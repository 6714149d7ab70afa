-- What an order is worth, whether it counts or not. Only the partition of the order writes its row.
create table {schema}.sale_{g} (
  order_id uuid primary key,
  partition int not null,
  day text not null,
  country text not null,
  customer text not null,  -- empty: none
  currency text not null,
  units bigint not null,
  revenue bigint not null,
  products json not null,
  counted boolean not null
) with (fillfactor = 90);

-- The orders that count, summed per partition, because a row has one writer. Queries sum over partitions.
create table {schema}.sales_{g} (
  kind text collate "C" not null,
  key text collate "C" not null,
  currency text collate "C" not null,
  partition int not null,
  orders bigint not null,
  units bigint not null,
  revenue bigint not null,
  primary key (kind, key, currency, partition)
) with (fillfactor = 70);
