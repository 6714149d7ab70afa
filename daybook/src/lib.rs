//! The one program: its command line and settings, the Postgres and the Kafka it brings along, and
//! the import of a shop's history. What it runs lives in the crates this one depends on.

mod access;
mod asking;
mod reload;
mod brokers;
pub mod cli;
pub mod settings;
pub mod embedded;
pub mod import;
pub mod shop;
pub mod problems;
pub mod contracts;
pub mod table;

use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A question to a Kafka that is away blocks a thread until its time is over; nobody waits for it now.
const STRAGGLERS: Duration = Duration::from_millis(200);

/// Reads the command line, does it, and says in one line why it could not.
#[must_use]
pub fn main() -> ExitCode {
    // The one TLS there is; only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Err(why) = event_store::failpoint::arm() {
        eprintln!("daybook: {why}");
        return ExitCode::FAILURE;
    }
    let done = Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(cli::Cli::parse().run());
        runtime.shutdown_timeout(STRAGGLERS);
        done
    });
    done.unwrap_or_else(|error| {
        eprintln!("daybook: {error:#}");
        ExitCode::FAILURE
    })
}
