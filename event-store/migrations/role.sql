do $$
begin
  create role {service}_service login;
exception when duplicate_object or unique_violation then null;
end $$;
grant {service}_service to current_user;
create schema if not exists {service};
create schema if not exists {service}_read authorization {service}_service;
