-- What was put off is passed over by its own index: while a provider is away there are many of them, and each
-- look for what is due would go through them all.
alter table {service}_read.due add column put_off_until timestamptz not null default '-infinity';
create index due_next on {service}_read.due (greatest(due_at, put_off_until));
-- What was settled lies dead before what is due next, and is gone through too until it is vacuumed.
alter table {service}_read.due set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
