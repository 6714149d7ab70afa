//! The binary: reads the command line, does it, and says in one line why it could not.

use std::process::ExitCode;

use clap::Parser;
use daybook::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("daybook: {error:#}");
            ExitCode::FAILURE
        }
    }
}
