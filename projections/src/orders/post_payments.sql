insert into {schema}.order_{g} (order_id, payment_status)
select order_id, payment_status
  from unnest($1::uuid[], $2::text[]) as e (order_id, payment_status)
 order by order_id
    on conflict (order_id) do update set payment_status = excluded.payment_status
