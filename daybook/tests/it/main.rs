//! The binary's tests: the shape of the workspace, and the real program from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod access;
mod answers;
mod apart;
mod arrows;
#[path = "../../../edge/tests/it/authority.rs"]
mod authority;
#[path = "../../../projections/tests/it/independent.rs"]
mod independent;
mod batch;
mod callers;
mod consumers;
mod containers;
mod command_line;
mod contracts;
mod dribble;
mod dues;
mod checkout;
mod embedded;
mod first;
mod on_file;
mod support;
mod customers;
mod shop;
mod flash_sale;
mod kafka_copy;
mod kafka_secrecy;
mod limits;
mod listening;
mod without_kafka;
mod schemathesis;
mod shutdown;
mod own_servers;
mod parked;
mod postgres_faults;
mod torture;
mod told_to_stop;
mod two_processes;
mod rolling;
mod idempotency;
#[cfg(feature = "oidc")]
mod oidc;
mod progress;
mod promises;
mod problems;
mod provider_faults;
mod bad_input;
mod books;
mod gap;
mod gateway;
mod import;
mod import_e2e;
mod rates;
mod reading;
mod rebuild_e2e;
mod reload;
mod retail_totals;
mod secrecy;
mod settings;
