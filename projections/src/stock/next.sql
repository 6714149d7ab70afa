create table {schema}.stock_{g} (
  sku text collate "C" primary key,
  on_hand bigint not null,
  reserved bigint not null,
  available bigint not null generated always as (on_hand - reserved) stored,
  low boolean not null generated always as (on_hand - reserved < 10) stored,
  version bigint not null
) with (fillfactor = 70);
