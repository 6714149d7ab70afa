-- When a generation stopped being the live one: the last of them is the one to go back to.
alter table {service}_read.generation add column ended_at timestamptz;
