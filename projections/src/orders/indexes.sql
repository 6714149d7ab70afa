create index order_placed_{g} on {schema}.order_{g} (placed_at, order_id);
create index order_status_{g} on {schema}.order_{g} (status, placed_at, order_id);
create index order_payment_status_{g} on {schema}.order_{g} (payment_status, placed_at, order_id);
create index order_fulfilment_status_{g} on {schema}.order_{g} (fulfilment_status, placed_at, order_id);
create index order_customer_{g} on {schema}.order_{g} (customer, placed_at, order_id)
  where customer is not null;
