//! The command line: one file per command.

#![expect(clippy::print_stdout, reason = "what a command answers goes to the standard output")]

mod checkout;
mod completions;
mod config;
mod dues;
mod explain;
mod generations;
mod granted;
mod import;
mod key;
mod log;
mod migrate;
mod parked;
mod reach;
mod rebuild;
mod sandbox_provider;
mod serve;
mod status;
mod stopping;
mod token;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An event-sourced shop: orders, stock and money as one append-only log
///
/// Every command becomes events in a log in Postgres; Kafka carries a copy of the log to whoever
/// follows it; everything you read is posted from the log and can be thrown away and posted again.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, max_term_width = 100, after_long_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  daybook serve                                  start, with a Postgres and a Kafka of its own
  daybook import data/online-retail-10k.csv      send it a shop's history
  daybook log orders --follow                    watch what happens to orders
  daybook status                                 logs, followers and their lag, what is late
  daybook dues list --late 10                    what should have been settled, and why it is not
  daybook explain order 5f0c1b7e-8f58-…          what happened to an order, and what it waits for
  daybook checkout list                          orders that no rule can settle, and why
  daybook parked list                            what could not be posted, and why
  daybook rebuild orders                         post a read model again from the log
  daybook verify orders                          are its rows what the log says?
  daybook token --role operator                  a token for a Daybook that asks who you are
  daybook key create loader --role warehouse     an API key for a machine
  daybook config                                 what is set, and where

A command finds a running Daybook through the data folder (--data-dir), or your Postgres and Kafka
through DATABASE_URL and KAFKA_BROKERS.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    SandboxProvider(sandbox_provider::SandboxProvider),
    Import(import::Import),
    Rebuild(rebuild::Rebuild),
    Verify(verify::Verify),
    Generations(generations::Generations),
    Log(log::Log),
    Migrate(migrate::Migrate),
    Status(status::Status),
    Parked(parked::Parked),
    Dues(dues::Dues),
    Explain(explain::Explain),
    Checkout(checkout::Checkout),
    Token(token::Token),
    Key(key::Key),
    Config(config::Config),
    Completions(completions::Completions),
}

impl Cli {
    /// Does what was asked. A failure is told by the caller; a command that worked and still has
    /// bad news says so with its exit code.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::SandboxProvider(provider) => provider.run().await,
            Command::Import(import) => import.run().await,
            Command::Rebuild(rebuild) => rebuild.run().await,
            Command::Verify(verify) => verify.run().await,
            Command::Generations(generations) => generations.run().await,
            Command::Log(log) => log.run().await,
            Command::Migrate(migrate) => migrate.run().await,
            Command::Status(status) => status.run().await,
            Command::Parked(parked) => parked.run().await,
            Command::Dues(dues) => dues.run().await,
            Command::Explain(explain) => explain.run().await,
            Command::Checkout(checkout) => checkout.run().await,
            Command::Token(token) => token.run(),
            Command::Key(key) => key.run(),
            Command::Config(config) => config.run(),
            Command::Completions(completions) => completions.run(),
        }
    }
}
