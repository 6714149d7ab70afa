create table {schema}.checkout_{g} (
  order_id uuid primary key,
  state text,
  outcome text,
  attention_ended bigint,  -- the version with which attention ended the last time
  attention text,  -- why a person has to look: the first reason since then
  attention_since timestamptz,
  trouble text,  -- what the provider or an owner said: the first since then
  hand_act text,  -- what a person did last, why, who, and when
  hand_reason text,
  hand_by text,
  hand_at timestamptz,
  reservations json,
  currency text,
  total bigint,
  started_at timestamptz,
  version bigint not null
) with (fillfactor = 70);
