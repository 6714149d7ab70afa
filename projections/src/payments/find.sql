select order_id, status, pending, failure, method, currency, amount, authorised, captured, refunded,
       reference, requested_at, version
  from {schema}.payment_{g}
 where requested_at is not null {filters}
