select order_id, state, outcome, attention, attention_since, trouble, hand_act, hand_reason, hand_by, hand_at,
       reservations::text as reservations, currency, total, started_at, version
  from {schema}.checkout_{g}
 where started_at is not null {filters}
 order by started_at {down}, order_id {down}
