create table {schema}.product_{g} (
  sku text collate "C" primary key,
  name text,
  price bigint,
  currency text,
  status text,
  words tsvector,  -- of name and SKU, as the fold split them
  version bigint not null
) with (fillfactor = 80);
