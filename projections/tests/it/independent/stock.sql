with change as (
  select substr(stream, 7) as sku, version, type, (payload ->> 'quantity')::bigint as quantity,
         (payload ->> 'change')::bigint as change
    from inventory.event
), level as (
  select sku, max(version) as version,
         coalesce(sum(quantity) filter (where type = 'stock.received'), 0)
           + coalesce(sum(change) filter (where type = 'stock.adjusted'), 0)
           - coalesce(sum(quantity) filter (where type = 'stock.shipped'), 0) as on_hand,
         coalesce(sum(quantity) filter (where type = 'stock.reserved'), 0)
           - coalesce(sum(quantity) filter (where type in ('stock.released', 'stock.shipped')), 0) as reserved
    from change
   group by sku
), derived as (
  select sku, on_hand::bigint, reserved::bigint, (on_hand - reserved)::bigint, version from level
), posted as (
  select sku, on_hand, reserved, available, version from inventory_read.stock_{g}
)
