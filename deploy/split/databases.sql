-- A database for each service, and a user who may enter no other one. The passwords are known to everybody who reads
-- this file; the port is not published.
create role catalogue_service login password 'daybook';
create role orders_service login password 'daybook';
create role inventory_service login password 'daybook';
create role payments_service login password 'daybook';
create role checkout_service login password 'daybook';

create database catalogue;
create database orders;
create database inventory;
create database payments;
create database checkout;

-- Whom a database belongs to, `daybook migrate` lets in.
revoke connect, temporary on database catalogue, orders, inventory, payments, checkout from public;
