select partition, epoch, next_offset
from orders_read.checkpoint
where follower = $1 and generation = $2 and service = 'catalogue'
