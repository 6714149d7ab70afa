create table {schema}.payment_{g} (
  order_id uuid primary key,
  status text,
  pending text,  -- the operation that the provider has not answered
  failure text,  -- why the last operation did not succeed
  method text,
  currency text,
  amount bigint,
  authorised bigint not null,
  captured bigint not null,
  refunded bigint not null,
  reference text,
  requested_at timestamptz,
  version bigint not null
) with (fillfactor = 70);
