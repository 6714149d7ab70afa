select to_jsonb(a)::text, to_jsonb(b)::text, count(*) over ()
  from (select {columns} from {table} t where $1::text[] is null or {kept}) a
  full join (select {columns} from {other} t where $1::text[] is null or {kept}) b using ({keys})
 where a::text is distinct from b::text
 order by {keys}
 limit $2
