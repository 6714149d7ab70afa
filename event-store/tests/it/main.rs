//! The log against a real Postgres and a real Kafka; `make test` starts them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod ambiguity;
mod append;
mod check;
mod dues;
mod example;
mod failover;
mod feeds;
mod gap;
mod heals;
mod history;
mod kafka;
mod parking;
mod links;
mod machine;
mod posting;
mod proxy;
mod relay;
mod runner;
mod support;
mod server;
mod snapshots;
mod standstill;
mod tail;
mod transact;
