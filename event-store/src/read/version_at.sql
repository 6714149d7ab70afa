-- The last version of a stream at an instant or now, or 0: found by halving, because a stream may have millions, and
-- along it `recorded_at` never runs backwards.
with recursive half (low, high) as (
  select 0::bigint, coalesce(max(version), 0) from {service}.event where stream = $1
  union all
  select case when e.recorded_at <= coalesce($2::timestamptz, 'infinity') then e.version else half.low end,
         case when e.recorded_at <= coalesce($2::timestamptz, 'infinity') then half.high else e.version - 1 end
    from half
    join {service}.event e on e.stream = $1 and e.version = (half.low + half.high + 1) / 2
   where half.low < half.high
)
select high from half where low = high
