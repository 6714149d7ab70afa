-- Roles belong to the whole cluster: another database's migration may do the same at this moment.
do $$
begin
  if not exists (select from pg_roles where rolname = '{service}_service') then
    begin
      create role {service}_service login;
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
  -- Since PostgreSQL 16 whoever made a role is its member, and may still not become it.
  if not pg_has_role(current_user, '{service}_service',
                     case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
    begin
      grant {service}_service to current_user;
    exception when unique_violation then null;
    end;
  end if;
  -- Where not everybody may connect to the database, its service may. For views of the past it makes tables of a session.
  if not has_database_privilege('{service}_service', current_database(), 'connect')
     or not has_database_privilege('{service}_service', current_database(), 'temporary') then
    execute format('grant connect, temporary on database %I to {service}_service', current_database());
  end if;
end $$;
create schema if not exists {service};
create schema if not exists {service}_read authorization {service}_service;
