//! The binary: reads the command line, does it, and says in one line why it could not.

use std::process::ExitCode;

use clap::Parser;
use daybook::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    // The one TLS there is; only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("daybook: {error:#}");
            ExitCode::FAILURE
        }
    }
}
