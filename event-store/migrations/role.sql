-- Roles belong to the whole cluster: another database's migration may do the same at this moment.
do $$
begin
  if not exists (select from pg_roles where rolname = '{service}_service') then
    begin
      create role {service}_service login;
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
  if not pg_has_role(current_user, '{service}_service', 'member') then
    grant {service}_service to current_user;
  end if;
end $$;
create schema if not exists {service};
create schema if not exists {service}_read authorization {service}_service;
