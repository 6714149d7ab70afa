//! The same stream from two processes: this program is started again as a child, and both reserve at once.

use super::{Shelf, closed_loop_on};
use crate::load::Round;
use crate::peers::daybook::PARTITIONS;
use crate::report::{Figure, Section, Unit};
use crate::servers::Login;
use anyhow::{Context, Result, ensure};
use domain::inventory::stock::Stock;
use event_store::{Database, Log, LogSettings, TransactLimits, Transactor};
use serde::{Deserialize, Serialize};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, stdin};
use tokio::process::{Child, Command};

/// What one process is to do. The child reads it from its standard input, for there is a password in it.
#[derive(Serialize, Deserialize)]
pub struct Work {
    url: String,
    stream: String,
    callers: usize,
    time: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Outcome {
    round: Round,
    refused: u64,
}

/// Two processes at once.
pub struct Pair([Outcome; 2]);

impl Work {
    pub fn new(database: &Database, stream: &str, callers: usize, time: Duration) -> Result<Self> {
        let (url, stream) = (Login::to(database)?.url(), stream.to_owned());
        Ok(Work { url, stream, callers, time })
    }

    /// Each process opens the log for itself, and knows nothing of the other.
    async fn open(&self) -> Result<(Log, Shelf)> {
        let database = Database::parse(&self.url)?.of_service("shop");
        let log = Log::open(LogSettings::new("shop", PARTITIONS, database)).await?;
        let transactor =
            Transactor::<Stock>::with_snapshots(log.clone(), TransactLimits::default());
        Ok((log, Shelf { transactor, stream: self.stream.clone(), refused: Arc::default() }))
    }

    async fn run(&self, log: Log, shelf: Shelf) -> Result<Outcome> {
        let refused = shelf.refused.clone();
        let round = closed_loop_on(&shelf, self.callers, self.time).await?;
        log.close().await;
        Ok(Outcome { round, refused: refused.load(Ordering::Relaxed) })
    }
}

/// Here and in a child, which begins when this begins.
pub async fn two(work: &Work) -> Result<Pair> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--hot-child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (log, shelf) = work.open().await?;
    let mut input = child.stdin.take().context("the child's standard input")?;
    let mut output = BufReader::new(child.stdout.take().context("the child's standard output")?);
    input.write_all(format!("{}\n", serde_json::to_string(work)?).as_bytes()).await?;
    let mut ready = String::new();
    output.read_line(&mut ready).await?;
    ensure!(ready == "ready\n", "the child said {ready:?}");
    input.write_all(b"go\n").await?;
    let here = work.run(log, shelf).await?;
    let mut said = String::new();
    output.read_to_string(&mut said).await?;
    ended(child).await?;
    let there: Outcome = serde_json::from_str(&said).context("the child's outcome")?;
    Ok(Pair([here, there]))
}

async fn ended(mut child: Child) -> Result<()> {
    let status = child.wait().await?;
    ensure!(status.success(), "the child ended with {status}");
    Ok(())
}

/// The child's side.
pub async fn child() -> Result<()> {
    let mut input = BufReader::new(stdin()).lines();
    let work = input.next_line().await?.context("no work was given")?;
    let work: Work = serde_json::from_str(&work)?;
    let (log, shelf) = work.open().await?;
    println!("ready");
    input.next_line().await?.context("nobody said go")?;
    let outcome = work.run(log, shelf).await?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

impl Pair {
    pub fn all(&self) -> u64 {
        self.0.iter().map(|outcome| outcome.round.all).sum()
    }

    fn rate(&self) -> f64 {
        self.0.iter().map(|outcome| outcome.round.rate).sum()
    }

    /// Of the process that had the worse one.
    fn p99(&self) -> f64 {
        self.0.iter().map(|outcome| outcome.round.p99).fold(0.0, f64::max)
    }

    /// In percent, of the process that got less done.
    fn least_share(&self) -> f64 {
        let least = self.0.iter().map(|outcome| outcome.round.rate).fold(f64::MAX, f64::min);
        100.0 * least / self.rate()
    }

    fn refused(&self) -> f64 {
        self.0.iter().map(|outcome| outcome.refused).sum::<u64>() as f64
    }
}

pub fn report(pairs: &[Pair], section: &mut Section) {
    let of = |figure: fn(&Pair) -> f64| pairs.iter().map(figure).collect();
    let name = |what: &str| format!("daybook, two processes of 128 callers{what}");
    section.add(Figure::new(name(""), Unit::PerSecond, of(Pair::rate)).at_least(25_000.0));
    section.add(Figure::new(name(", p99"), Unit::Ms, of(Pair::p99)).at_most(150.0));
    let share = Figure::new(name(", the lesser's share"), Unit::Percent, of(Pair::least_share));
    section.add(share.at_least(100.0 / 3.0));
    section.add(Figure::new(name(", refused"), Unit::Count, of(Pair::refused)).at_most(0.0));
}
