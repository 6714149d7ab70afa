//! Read models against a real Postgres; `make test` starts it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod support;
mod stories;
mod verify;
mod views;
mod sales;
mod lists;
mod pages;
mod shuffle;
mod elsewhere;
mod reading;
mod own_writes;
mod rebuild;
mod refusals;
mod stopped;
mod switch;
mod generations;
mod independent;
