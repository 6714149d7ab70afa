-- An order, with what orders and payments each know of it. `placed_at` is null until the order's own first
-- event is posted, and until then the row is not shown.
create table {schema}.order_{g} (
  order_id uuid primary key,
  status text,
  cancel_reason text,
  customer text collate "C",
  country text,
  currency text,
  shipping bigint,
  discount bigint,
  total bigint,
  lines json,
  shipments text not null default '',  -- what was shipped, in order: the line's number, `:`, how many, and a blank
  units bigint,
  shipped_units bigint not null default 0,
  placed_at timestamptz,
  version bigint,
  payment_status text not null default 'none',  -- written by the fold of payments alone
  fulfilment_status text generated always as (
    case when shipped_units = 0 then 'unfulfilled'
         when shipped_units < units then 'partially-fulfilled'
         else 'fulfilled' end) stored
) with (fillfactor = 80);

-- Twenty lines are more than Postgres stores as they are. Where it knows lz4 (from 14 on,
-- if built so), that takes it a fraction of the time.
do $$ begin
  execute 'alter table {schema}.order_{g} alter column lines set compression lz4';
exception when feature_not_supported or syntax_error then
  null;
end $$;
