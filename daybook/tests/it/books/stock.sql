-- At every version of every stock 0 ≤ reserved ≤ on hand, and in the end nothing is reserved.
with change as (
  select stream, version, type, (payload ->> 'quantity')::bigint as quantity, (payload ->> 'change')::bigint as change
    from inventory.event
), level as (
  select stream, version,
         sum(case type when 'stock.received' then quantity when 'stock.adjusted' then change
                       when 'stock.shipped' then -quantity else 0 end) over so_far as on_hand,
         sum(case when type = 'stock.reserved' then quantity
                  when type in ('stock.released', 'stock.shipped') then -quantity else 0 end) over so_far as reserved,
         row_number() over (partition by stream order by version desc) = 1 as is_last
    from change window so_far as (partition by stream order by version)
)
select format('%s at version %s: %s on hand, %s reserved', stream, version, on_hand, reserved)
  from level
 where not (reserved between 0 and on_hand) or is_last and reserved <> 0
