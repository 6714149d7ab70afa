-- Once in a log's life, and no part of a migration: the number is the operator's choice.
with made as (
  insert into {service}.log_partition
  select p, 1 from generate_series(0, {partitions} - 1) p
   where not exists (select from {service}.log_partition)
  returning partition)
insert into {service}.log_epoch (partition, epoch, first_offset, system_identifier, timeline)
select partition, 1, 0, (select system_identifier from pg_control_system()),
       substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
  from made
