-- What the followers of service {service} keep; belongs to the service's role.
create table {service}_read.checkpoint (
  follower text not null,
  generation int not null,
  service text not null,
  partition int not null,
  next_offset bigint not null,
  epoch int not null,
  last_event_id uuid,  -- null: nothing was posted yet
  updated_at timestamptz not null default clock_timestamp(),
  primary key (follower, generation, service, partition)
) with (fillfactor = 50);

create table {service}_read.due (
  stream text collate "C" not null,
  key text not null,
  request json not null,
  correlation text not null,
  causation uuid not null,
  due_at timestamptz not null,
  tries int not null default 0,
  lease_until timestamptz not null default '-infinity',
  claimed_by int,  -- the Postgres backend of whoever is at it; a lease ends with it
  last_error text,
  primary key (stream, key)
) with (fillfactor = 70);
create index due_at on {service}_read.due (due_at);

create table {service}_read.generation (
  projection text not null,
  version int not null,
  generation int not null,
  state text not null check (state in ('building', 'live', 'old')),
  created_at timestamptz not null default clock_timestamp(),
  primary key (projection, generation)
);
create unique index generation_live on {service}_read.generation (projection, version) where state = 'live';
