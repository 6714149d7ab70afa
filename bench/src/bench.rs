//! The benches by name, and what each of them is given.

use crate::report::Section;
use crate::servers::Servers;
use crate::{absent, apart, append, beside, cold, follow, growth, guarded, hot, idle, overload};
use crate::{own, peak, read, rebuild, relay, settled, shop, waits};
use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Single-event appends on fresh streams, beside the peers and the limits
    Append,
    /// Where appends spend their time, of 1 to 256 callers
    Waits,
    /// One hot stream: stock reservations, decided by one process and by two, beside optimistic retry
    Hot,
    /// Appends beside an idle transaction that holds an old snapshot
    IdleTransaction,
    /// Appends to a log of 100 thousand, a million and ten million events
    Growth,
    /// The next decision on a stream of a million events, by a process that has not seen it
    Cold,
    /// A log read partition by partition, beside COPY
    Read,
    /// From the log to the real Kafka, beside Kafka's own load generator
    Relay,
    /// Followers: from the append until one sees it, and the orders view posted live
    Follow,
    /// Read models posted again from the log, and in how much memory
    Rebuild,
    /// Everything rebuilt while orders are placed: what those who ask notice
    Beside,
    /// The binary itself: start, memory, and orders on their way to confirmed
    Shop,
    /// What was just written, read by the process that took it and by another one
    Own,
    /// Orders accepted over HTTP, beside pgbench; what follows them is done afterwards
    Peak,
    /// Orders as fast as they settle, and what each costs
    Settled,
    /// Orders on their way through one process, beside a process and a database for each service, without and with HAProxy
    Apart,
    /// Each service on its own; one after the other stands still, and is killed: what those notice who ask the others
    Absent,
    /// Orders accepted by one process, with tokens, rate limits and TLS at its door
    Guarded,
    /// Twice the load that can be served, for MINUTES (1)
    Overload,
}

impl Name {
    /// The line that `--help` shows for it.
    pub fn about(self) -> String {
        let value = self.to_possible_value().and_then(|v| v.get_help().map(ToString::to_string));
        value.unwrap_or_default()
    }

    pub async fn run(self, bench: &mut Bench<'_>) -> Result<()> {
        match self {
            Name::Append => append::run(bench).await,
            Name::Waits => waits::run(bench).await,
            Name::Hot => hot::run(bench).await,
            Name::IdleTransaction => idle::run(bench).await,
            Name::Growth => growth::run(bench).await,
            Name::Cold => cold::run(bench).await,
            Name::Read => read::run(bench).await,
            Name::Relay => relay::run(bench).await,
            Name::Follow => follow::run(bench).await,
            Name::Rebuild => rebuild::run(bench).await,
            Name::Beside => beside::run(bench).await,
            Name::Shop => shop::run(bench).await,
            Name::Own => own::run(bench).await,
            Name::Peak => peak::run(bench).await,
            Name::Settled => settled::run(bench).await,
            Name::Apart => apart::run(bench).await,
            Name::Absent => absent::run(bench).await,
            Name::Guarded => guarded::run(bench).await,
            Name::Overload => overload::run(bench).await,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |v| v.get_name()))
    }
}

/// What a bench works with, and where its figures go.
pub struct Bench<'a> {
    pub servers: &'a Servers,
    pub pace: Pace,
    pub section: Section,
}

/// How often, and how long.
#[derive(Clone, Copy)]
pub struct Pace {
    pub rounds: usize,
    /// Only to see that everything works.
    pub quick: bool,
}

impl Pace {
    /// One of two: for a run that counts, or for a quick one.
    pub fn pick<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The time of one round under load.
    pub fn round(self) -> Duration {
        Duration::from_secs_f64(self.pick(6.0, 0.5))
    }
}
