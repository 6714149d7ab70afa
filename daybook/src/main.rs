//! The binary: reads the command line, does it, and says in one line why it could not.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use daybook::cli::Cli;
use tokio::runtime::Runtime;

/// A question to a Kafka that is away blocks a thread until its time is over; nobody waits for it now.
const STRAGGLERS: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    // The one TLS there is; only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(Cli::parse().run());
        runtime.shutdown_timeout(STRAGGLERS);
        done
    });
    done.unwrap_or_else(|error| {
        eprintln!("daybook: {error:#}");
        ExitCode::FAILURE
    })
}
