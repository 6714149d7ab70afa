//! The command endpoints against a real Postgres; `make test` starts it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod bad_input;
mod commands;
mod conditions;
mod history;
mod internal;
mod prices;
mod repeats;
mod shop;
