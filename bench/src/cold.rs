//! The next decision on a stream of a million events, by a process that has nothing of it in memory: from a snapshot of
//! its state, and from its first event on.

use crate::bench::Bench;
use crate::peers::daybook::PARTITIONS;
use crate::report::{Figure, Unit, median, thousands};
use anyhow::{Result, ensure};
use chrono::Utc;
use domain::inventory::stock::{self, Command, Event, Stock};
use event_store::{
    Database, Envelope, Log, LogSettings, TransactLimits, Transactor, encode, event_id, migrate,
    partition_of,
};
use futures_util::SinkExt;
use std::fmt::Write;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Orders that hold pieces at any moment.
const OPEN: u64 = 500;
/// Until the snapshot must be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Decisions of which the median and the slowest are told.
const TRIES: usize = 50;

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let events = bench.pace.pick(1_000_000, 100_000);
    let tries = bench.pace.pick(TRIES, 5);
    let database = bench.servers.database("bench_cold").await?;
    migrate(&database, "inventory", PARTITIONS).await?;
    let stream = stock::stream(&"85123A".parse()?);
    fill(&database, &stream, events).await?;
    let without = decide(&database, &stream, tries.min(5), true, Transactor::new).await?;
    // The worst that a snapshot leaves to be folded: one more would have made the next one.
    let rest = TransactLimits::default().snapshot_events - 2 * i64::try_from(tries)?;
    let kept = leave_a_snapshot(&database, &stream, rest).await?;
    let with = decide(&database, &stream, tries, true, Transactor::with_snapshots).await?;
    let first = decide(&database, &stream, tries, false, Transactor::with_snapshots).await?;
    bench.servers.drop_database("bench_cold").await?;
    let name = format!("on {} events", thousands(events as f64));
    let middle = vec![median(&with)];
    bench.section.add(Figure::new(format!("{name}, from a snapshot"), Unit::Ms, middle));
    let slowest = vec![with.iter().copied().fold(0.0, f64::max)];
    let slowest = Figure::new(format!("{name}, from a snapshot, the slowest"), Unit::Ms, slowest);
    bench.section.add(slowest.at_most(20.0));
    let first = Figure::new(format!("{name}, from a snapshot, a process's first"), Unit::Ms, first);
    bench.section.add(first.at_most(20.0));
    bench.section.add(Figure::new(format!("{name}, from the first on"), Unit::Ms, without));
    bench
        .section
        .note(format!("The snapshot has {kept} bytes, and {rest} events or more behind it."));
    Ok(())
}

/// The milliseconds from the command to its answer, in a log and a write path that were just opened: the first command
/// of all, or one after another stream's, for which connections were made and statements planned.
async fn decide(
    database: &Database,
    stream: &str,
    tries: usize,
    warm: bool,
    open_transactor: impl Fn(Log, TransactLimits) -> Transactor<Stock>,
) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    for _ in 0..tries {
        let log = open(database).await?;
        let stock = open_transactor(log.clone(), TransactLimits::default());
        if warm {
            let command = Command::Receive { quantity: 1_i64.try_into()? };
            let envelope = Envelope::new(Uuid::now_v7(), Utc::now());
            stock.transact(&neighbour(stream), command, envelope).await?;
        }
        let began = Instant::now();
        reserve(&stock, stream).await?;
        all.push(began.elapsed().as_secs_f64() * 1e3);
        log.close().await;
    }
    Ok(all)
}

/// Another stream of the same partition, and so of the same connection.
fn neighbour(stream: &str) -> String {
    let partition = partition_of(stream, PARTITIONS);
    let mut others = (0..).map(|number| format!("stock-OTHER{number}"));
    others.find(|other| partition_of(other, PARTITIONS) == partition).unwrap_or_default()
}

async fn open(database: &Database) -> Result<Log> {
    let database = database.of_service("inventory");
    Ok(Log::open(LogSettings::new("inventory", PARTITIONS, database)).await?)
}

async fn reserve(stock: &Transactor<Stock>, stream: &str) -> Result<()> {
    let command = Command::Reserve { order: Uuid::now_v7().into(), quantity: 1_i64.try_into()? };
    let done = stock.transact(stream, command, Envelope::new(Uuid::now_v7(), Utc::now())).await?;
    ensure!(done.events == ["stock.reserved"], "{:?}", done.events);
    Ok(())
}

/// Decides once, which leaves a snapshot, and as often again as it may be behind. Its bytes.
async fn leave_a_snapshot(database: &Database, stream: &str, rest: i64) -> Result<i32> {
    let log = open(database).await?;
    let stock = Transactor::<Stock>::with_snapshots(log.clone(), TransactLimits::default());
    reserve(&stock, stream).await?;
    let client = database.connect("bench cold").await?;
    let sql = "select octet_length(state) from inventory_read.snapshot where stream = $1";
    let until = Instant::now() + PATIENCE;
    let kept = loop {
        if let Some(row) = client.query_opt(sql, &[&stream]).await? {
            break row.get::<_, i32>(0);
        }
        ensure!(Instant::now() < until, "no snapshot was written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for _ in 1..rest {
        reserve(&stock, stream).await?;
    }
    log.close().await;
    Ok(kept)
}

/// A delivery, and orders that reserve a piece each and ship it later, laid out as appends would have left them.
async fn fill(database: &Database, stream: &str, events: u64) -> Result<()> {
    const BYTES: usize = 64 << 10;
    let client = database.connect("bench fill").await?;
    let sink = client.copy_in::<_, bytes::Bytes>("copy inventory.event from stdin").await?;
    let mut sink = std::pin::pin!(sink);
    let mut rows = String::new();
    for number in 0..events {
        row(&mut rows, stream, number)?;
        if rows.len() > BYTES {
            sink.feed(std::mem::take(&mut rows).into()).await?;
        }
    }
    sink.feed(rows.into()).await?;
    let written = sink.finish().await?;
    ensure!(written == events, "{written} rows were copied, not {events}");
    client.batch_execute("vacuum analyze inventory.event").await?;
    Ok(())
}

fn row(rows: &mut String, stream: &str, number: u64) -> Result<()> {
    let order = |nth: u64| Uuid::from_u128(u128::from(nth) << 64 | 0x8000 << 48).into();
    let one = 1_i64.try_into()?;
    // Each order is shipped when so many others have reserved after it.
    let event = match number {
        0 => Event::Received { quantity: 1_000_000_i64.try_into()? },
        n if n <= OPEN || n % 2 == 0 => {
            Event::Reserved { order: order(reserved(n)), quantity: one }
        }
        n => Event::Shipped { order: order(reserved(n) - OPEN + 1), quantity: one },
    };
    let (event_type, schema_version, payload) = encode(&event);
    let command = Uuid::now_v7();
    let (id, partition) = (event_id(stream, command, 0), partition_of(stream, PARTITIONS));
    let (version, now) = (number + 1, Utc::now().to_rfc3339());
    writeln!(
        rows,
        "{partition}\t{number}\t{stream}\t{version}\t{id}\t{command}\t0\t{event_type}\t{schema_version}\t{payload}\t\
         {{\"correlation\":\"{command}\",\"actor\":\"bench\"}}\t{now}\t{now}"
    )?;
    Ok(())
}

/// How many orders have reserved at the nth event.
fn reserved(number: u64) -> u64 {
    if number <= OPEN { number } else { OPEN + (number - OPEN) / 2 }
}
