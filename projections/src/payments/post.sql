insert into {schema}.payment_{g} as p
  (order_id, status, pending, failure, method, currency, amount, authorised, captured, refunded, reference,
   requested_at, version)
select order_id, status, pending, failure, method, currency, amount, authorised, captured, refunded, reference,
       requested_at, version
  from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
              $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::timestamptz[], $13::bigint[])
    as e (order_id, status, pending, failure, method, currency, amount, authorised, captured, refunded,
          reference, requested_at, version)
 order by order_id
    on conflict (order_id) do update set
       status = coalesce(excluded.status, p.status),
       pending = excluded.pending,
       failure = excluded.failure,
       method = coalesce(excluded.method, p.method),
       currency = coalesce(excluded.currency, p.currency),
       amount = coalesce(excluded.amount, p.amount),
       authorised = p.authorised + excluded.authorised,
       captured = p.captured + excluded.captured,
       refunded = p.refunded + excluded.refunded,
       reference = coalesce(excluded.reference, p.reference),
       requested_at = coalesce(excluded.requested_at, p.requested_at),
       version = excluded.version
