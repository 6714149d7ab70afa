select sku, amount, currency, discontinued
from orders_read.price
where sku = any($1::text[]) and amount is not null
