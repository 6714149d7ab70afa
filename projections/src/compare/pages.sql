select pg_relation_size(to_regclass($1::text)) / current_setting('block_size')::bigint
