select count(*), coalesce(sum(hashtextextended(row({columns})::text, 0)), 0)::text
  from {table} t
 where ($1::text[] is null or {kept}) and {part}
