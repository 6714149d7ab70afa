//! The log against a real Postgres and a real Kafka; `make test` starts them.

mod append;
mod dues;
mod support;
mod transact;
