//! Everything here talks to the real thing: HTTP on port 0, files on disk, Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod support;
mod sandbox;
mod book;
mod provider;
mod shop;
mod checkout;
