-- What followers have not posted yet, and what is still owed; of a projection only the live generation of the
-- newest version counts.
with head as (
  select 'catalogue' as service, partition, max(log_offset) + 1 as next from catalogue.event group by partition
  union all
  select 'orders', partition, max(log_offset) + 1 from orders.event group by partition
  union all
  select 'inventory', partition, max(log_offset) + 1 from inventory.event group by partition
  union all
  select 'payments', partition, max(log_offset) + 1 from payments.event group by partition
  union all
  select 'checkout', partition, max(log_offset) + 1 from checkout.event group by partition
)
select format('%s has posted %s of %s in %s/%s', c.follower, c.next_offset, h.next, c.service, c.partition)
  from {service}_read.checkpoint c
  join head h using (service, partition)
 where c.next_offset < h.next
   and c.generation = coalesce((
     select g.generation from {service}_read.generation g
      where g.projection = c.follower and g.state = 'live' order by g.version desc limit 1), c.generation)
union all
select format('%s owes %s', stream, key) from {service}_read.due
