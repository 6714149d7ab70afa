//! One hot stream: 256 callers reserve from the stock of one product, and every reservation is decided by the
//! shop's own decider on the state that the one before it left.

mod process;
mod retry;

pub use process::child;

use crate::bench::Bench;
use crate::load::{Round, Rounds, closed_loop, whole};
use crate::peers::{Ours, count, cqrs, insert};
use crate::report::{Figure, Unit, median};
use anyhow::{Result, bail, ensure};
use async_trait::async_trait;
use chrono::Utc;
use domain::ids::OrderId;
use domain::inventory::stock::{Command, Stock};
use domain::values::Quantity;
use event_store::{Database, Envelope, TransactError, TransactLimits, Transactor};
use process::{Pair, Work};
use retry::{ByHand, PostgresEs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CALLERS: usize = 256;

/// Reserves one piece for an order of its own.
#[async_trait]
trait Reserve: Send + Sync {
    /// Whatever it takes, until it is `over`: of 256 who try again and again the last would take a minute more.
    async fn reserve(&self, over: &CancellationToken) -> Result<()>;
}

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let database = bench.servers.database("hot").await?;
    let log = Ours::open(&database, 0).await?.0;
    let setup = format!("{}; {}", insert::TABLE, cqrs::TABLES);
    database.connect("bench").await?.batch_execute(&setup).await?;
    let transactor = Transactor::<Stock>::with_snapshots(log.clone(), TransactLimits::default());
    let (by_hand, framework) = (ByHand::open(&database)?, PostgresEs::open(&database).await?);
    let mut found = Found::default();
    for round in 0..bench.pace.rounds {
        let stream = stocked(&transactor, &format!("one-{round}")).await?;
        let shelf = Shelf { transactor: transactor.clone(), stream, refused: Arc::default() };
        let done = reserve_all(bench, &shelf).await?;
        verify(&database, &shelf.stream, done.all).await?;
        found.refused.push(shelf.refused.load(Ordering::Relaxed) as f64);
        found.ours.0.push(done);

        let stream = stocked(&transactor, &format!("two-{round}")).await?;
        let work = Work::new(&database, &stream, CALLERS / 2, bench.pace.round())?;
        let pair = process::two(&work).await?;
        verify(&database, &stream, pair.all()).await?;
        found.pairs.push(pair);

        let shelf = by_hand.stocked(&format!("stock-{round}")).await?;
        found.by_hand.0.push(reserve_all(bench, &shelf).await?);
        shelf.verify(&database).await?;
        let shelf = framework.stocked(&format!("stock-{round}")).await?;
        found.framework.0.push(reserve_all(bench, &shelf).await?);
        shelf.verify(&database).await?;
    }
    found.report(bench);
    log.close().await;
    drop((by_hand, framework));
    bench.servers.drop_database("hot").await
}

async fn reserve_all<R: Reserve + Clone + 'static>(bench: &Bench<'_>, shelf: &R) -> Result<Round> {
    bench.servers.checkpoint().await?;
    closed_loop_on(shelf, CALLERS, bench.pace.round()).await
}

async fn closed_loop_on<R: Reserve + Clone + 'static>(
    shelf: &R,
    callers: usize,
    time: Duration,
) -> Result<Round> {
    let (shelf, over) = (shelf.clone(), CancellationToken::new());
    let bell = over.clone();
    tokio::spawn(async move {
        tokio::time::sleep(whole(time)).await;
        bell.cancel();
    });
    let one = move |_caller, _number| {
        let (shelf, over) = (shelf.clone(), over.clone());
        async move { shelf.reserve(&over).await }
    };
    closed_loop(callers, time, one).await
}

fn pieces(number: i64) -> Result<Quantity> {
    Quantity::try_from(number).map_err(|invalid| anyhow::anyhow!("{invalid}"))
}

fn reservation() -> Result<Command> {
    Ok(Command::Reserve { order: OrderId(Uuid::new_v4()), quantity: pieces(1)? })
}

/// A stream of its own with more than anybody can reserve.
async fn stocked(transactor: &Transactor<Stock>, sku: &str) -> Result<String> {
    let stream = format!("stock-{sku}");
    for _ in 0..20 {
        let receive = Command::Receive { quantity: pieces(1_000_000)? };
        transactor.transact(&stream, receive, Envelope::new(Uuid::new_v4(), Utc::now())).await?;
    }
    Ok(stream)
}

/// That all that was answered is in the log, and nothing was refused for want of stock.
async fn verify(database: &Database, stream: &str, all: u64) -> Result<()> {
    stored(
        database,
        &format!("shop.event where stream = '{stream}' and type = 'stock.reserved'"),
        all,
    )
    .await
}

async fn stored(database: &Database, reservations: &str, all: u64) -> Result<()> {
    let stored = count(database, reservations).await?;
    ensure!(stored == i64::try_from(all)?, "{stored} rows, not {all}: {reservations}");
    Ok(())
}

/// Daybook's write path in one process.
#[derive(Clone)]
struct Shelf {
    transactor: Transactor<Stock>,
    stream: String,
    /// For being too many; a door would have said 503.
    refused: Arc<AtomicU64>,
}

#[async_trait]
impl Reserve for Shelf {
    async fn reserve(&self, _over: &CancellationToken) -> Result<()> {
        let envelope = Envelope::new(Uuid::new_v4(), Utc::now());
        let command = reservation()?;
        loop {
            let (again, envelope) = (command.clone(), envelope.clone());
            match self.transactor.transact(&self.stream, again, envelope).await {
                Ok(done) if done.events == ["stock.reserved"] => return Ok(()),
                Ok(done) => bail!("not reserved: {done:?}"),
                Err(TransactError::Busy) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[derive(Default)]
struct Found {
    ours: Rounds,
    refused: Vec<f64>,
    pairs: Vec<Pair>,
    by_hand: Rounds,
    framework: Rounds,
}

impl Found {
    fn report(&self, bench: &mut Bench<'_>) {
        let section = &mut bench.section;
        let rates = self.ours.rates();
        let name = format!("daybook, one process, {CALLERS} callers");
        section.add(Figure::new(&name, Unit::PerSecond, rates.clone()).at_least(40_000.0));
        section.add(Figure::new(format!("{name}, p50"), Unit::Ms, self.ours.p50s()));
        section.add(Figure::new(format!("{name}, p99"), Unit::Ms, self.ours.p99s()).at_most(15.0));
        let refused = Figure::new(format!("{name}, refused"), Unit::Count, self.refused.clone());
        section.add(refused.at_most(0.0));
        process::report(&self.pairs, section);
        for (name, rounds) in [
            ("insert with optimistic retry by hand", &self.by_hand),
            ("postgres-es, optimistic retry", &self.framework),
        ] {
            section.add(Figure::new(name, Unit::PerSecond, rounds.rates()));
            section.add(Figure::new(format!("{name}, p99"), Unit::Ms, rounds.p99s()));
        }
        let retries = [&self.by_hand, &self.framework];
        let best =
            retries.into_iter().max_by(|a, b| median(&a.rates()).total_cmp(&median(&b.rates())));
        if let Some(best) = best {
            let ratio = Figure::ratio("daybook / the best optimistic retry", &rates, &best.rates());
            section.add(ratio.at_least(100.0));
        }
    }
}
