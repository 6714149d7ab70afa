-- States that were folded from the log, to fold the rest from there. Every row may be deleted at any time: that costs
-- time and nothing else. The event that a state is folded to is told by its id and its hour: a command that is sent
-- again after a lost tail makes an event with the same id, and perhaps the same version, behind another history.
create table {service}_read.snapshot (
  stream text collate "C" not null,
  state_version int not null,
  version bigint not null,
  event_id uuid not null,
  recorded_at timestamptz not null,
  state text not null,  -- JSON, but for nobody than the decider
  primary key (stream, state_version)
) with (fillfactor = 50);
-- Compressing costs more than it saves where rows are replaced so often.
alter table {service}_read.snapshot alter column state set storage external;
