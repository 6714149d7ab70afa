-- The columns of a table in their order, and whether each is part of its primary key.
select a.attname::text,
       exists (select from pg_index i
                where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any (i.indkey))
  from pg_attribute a
 where a.attrelid = to_regclass($1::text) and a.attnum > 0 and not a.attisdropped
 order by a.attnum
