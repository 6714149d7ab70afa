insert into {schema}.checkout_{g} as c
  (order_id, state, outcome, attention_ended, attention, attention_since, trouble, hand_act, hand_reason, hand_by,
   hand_at, reservations, currency, total, started_at, version)
select order_id, state, outcome, attention_ended, attention, attention_since, trouble, hand_act, hand_reason, hand_by,
       hand_at, reservations::json, currency, total, started_at, version
  from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::text[],
              $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::text[], $13::text[], $14::bigint[],
              $15::timestamptz[], $16::bigint[])
    as e (order_id, state, outcome, attention_ended, attention, attention_since, trouble, hand_act, hand_reason, hand_by,
          hand_at, reservations, currency, total, started_at, version)
 order by order_id
    on conflict (order_id) do update set
       state = coalesce(excluded.state, c.state),
       outcome = coalesce(excluded.outcome, c.outcome),
       attention_ended = coalesce(excluded.attention_ended, c.attention_ended),
       attention = case when excluded.attention_ended is null then coalesce(c.attention, excluded.attention)
                        else excluded.attention end,
       attention_since = case when excluded.attention_ended is null then coalesce(c.attention_since, excluded.attention_since)
                              else excluded.attention_since end,
       trouble = case when excluded.attention_ended is null then coalesce(c.trouble, excluded.trouble)
                      else excluded.trouble end,
       hand_act = coalesce(excluded.hand_act, c.hand_act),
       hand_reason = coalesce(excluded.hand_reason, c.hand_reason),
       hand_by = case when excluded.hand_act is null then c.hand_by else excluded.hand_by end,
       hand_at = coalesce(excluded.hand_at, c.hand_at),
       reservations = coalesce(excluded.reservations, c.reservations),
       currency = coalesce(excluded.currency, c.currency),
       total = coalesce(excluded.total, c.total),
       started_at = coalesce(excluded.started_at, c.started_at),
       version = excluded.version
