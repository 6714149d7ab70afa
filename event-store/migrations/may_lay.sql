-- What the migration needs to make schemas and roles.
select has_database_privilege(current_database(), 'create')
       and (select rolcreaterole or rolsuper from pg_roles where rolname = current_user)
