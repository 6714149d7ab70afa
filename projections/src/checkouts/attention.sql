select order_id, attention, attention_since, trouble, currency, total, count(*) over () as all_of_them
  from {schema}.checkout_{g}
 where state = 'needs-attention' and started_at is not null
 order by attention_since, order_id
 limit $1
