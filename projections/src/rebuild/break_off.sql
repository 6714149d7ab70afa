-- Ends the other sessions of this login that hold these tables. Nobody but a rebuild does, and those who clean up behind
-- it and give way.
select pg_terminate_backend(s.pid)
  from pg_stat_activity s
 where s.usename = session_user and s.backend_type = 'client backend' and s.pid <> pg_backend_pid()
   and exists (select from pg_locks l
                where l.pid = s.pid and l.locktype = 'relation' and l.relation = any($1::oid[]))
