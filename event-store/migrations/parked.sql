-- What a follower could not post, and what came behind it in its stream. Positions, no payloads: they are read from the log.
create table {service}_read.parked (
  follower text not null,
  generation int not null,
  service text not null,
  partition int not null,
  log_offset bigint not null,
  epoch int not null,
  event_id uuid not null,
  stream text collate "C" not null,
  event_type text not null,
  reason text,  -- null: nothing is known to be wrong with it, but with one before it
  tries int not null default 1,
  parked_at timestamptz not null default clock_timestamp(),
  asked text check (asked in ('retry', 'discard')),
  asked_by text,
  asked_why text,
  primary key (follower, generation, service, partition, log_offset)
);
create index parked_stream on {service}_read.parked (follower, generation, service, partition, stream, log_offset);

-- What somebody decided to leave out. It stays left out when a read model is built again.
create table {service}_read.discarded (
  follower text not null,
  service text not null,
  partition int not null,
  log_offset bigint not null,
  event_id uuid not null,
  stream text collate "C" not null,
  event_type text not null,
  reason text not null,
  discarded_by text not null,
  why text not null,
  discarded_at timestamptz not null default clock_timestamp(),
  primary key (follower, service, partition, log_offset, event_id)
);
