select order_id, status, payment_status, fulfilment_status, cancel_reason, customer, country, currency,
       shipping, discount, total, lines::text as lines, shipments, placed_at, version
  from {schema}.order_{g}
 where placed_at is not null {filters}
 order by placed_at {down}, order_id {down}
