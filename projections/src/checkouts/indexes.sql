create index checkout_started_{g} on {schema}.checkout_{g} (started_at, order_id);
create index checkout_open_{g} on {schema}.checkout_{g} (state, started_at, order_id)
  where state <> 'completed';
