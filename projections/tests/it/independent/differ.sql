-- What only one side has, after the statement whose tables are `derived` and `posted`.
select 'only derived: ' || t::text from (select * from derived except all select * from posted) t
union all
select 'only posted: ' || t::text from (select * from posted except all select * from derived) t
