create table {schema}.checkout_{g} (
  order_id uuid primary key,
  state text,
  outcome text,
  attention text,  -- why a person has to look, the first time
  reservations json,
  currency text,
  total bigint,
  started_at timestamptz,
  version bigint not null
) with (fillfactor = 70);
