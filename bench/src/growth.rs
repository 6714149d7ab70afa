//! What an append costs on a log of 100 thousand, a million and ten million events, half of them to streams that
//! nobody has used and half to old ones, anywhere in the log.

use crate::bench::Bench;
use crate::fill;
use crate::load::{Round, Rounds, closed_loop};
use crate::peers::{Ours, count, daybook};
use crate::report::{Chart, Figure, Unit, median, thousands};
use anyhow::{Result, ensure};
use event_store::Database;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

const CALLERS: usize = 256;
const SIZES: [u64; 3] = [100_000, 1_000_000, 10_000_000];
/// Prime to every size, so that it leads to each old stream once before it comes back.
const STRIDE: u64 = 7_368_787;

/// After a checkpoint Postgres writes each page whole when it is first touched. That is over when all are touched, long before
/// the next checkpoint of a server that has room for its WAL; what it costs until then is a figure of its own.
const WARM_UP: Duration = Duration::from_secs(40);

const CHART: Chart = Chart::new(
    "growth",
    "Appends to new and old streams of a log that has grown",
    "events in the log",
    "appends/s, 256 callers",
);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let sizes = bench.pace.pick(&SIZES[..], &SIZES[..2]);
    let mut logs = Vec::new();
    for size in &sizes[1..] {
        logs.push(Grown::open(bench, "", *size).await?);
    }
    bench.servers.checkpoint().await?;
    let mut touched_first = Vec::new();
    for log in &logs {
        let mut written = Written::default();
        touched_first.push((log.size, log.round(bench, &mut written).await?));
        log.append_for(bench.pace.pick(WARM_UP, Duration::from_secs(1))).await?;
    }
    let mut rounds = vec![Rounds::default(); sizes.len()];
    let mut written = vec![Written::default(); sizes.len()];
    let mut small = Vec::new();
    for round in 0..bench.pace.pick(2 * bench.pace.rounds, 1) {
        // It would grow by more than itself: each round has a new one. The old ones are kept, as Postgres makes a
        // checkpoint when a database is dropped.
        let new = Grown::open(bench, &format!("_{round}"), sizes[0]).await?;
        rounds[0].0.push(new.round(bench, &mut written[0]).await?);
        small.push(new);
        for ((log, rounds), written) in logs.iter().zip(&mut rounds[1..]).zip(&mut written[1..]) {
            rounds.0.push(log.round(bench, written).await?);
        }
    }
    for log in logs.into_iter().chain(small) {
        log.close(bench).await?;
    }
    report(bench, sizes, &rounds);
    for (size, round) in touched_first {
        let name = format!("append on {} events, just after a checkpoint", thousands(size as f64));
        bench.section.add(Figure::new(name, Unit::PerSecond, vec![round.rate]));
    }
    for (size, Written { bytes, pages, touched, read }) in sizes.iter().zip(written) {
        let name =
            |what: &str| format!("{what} for each append on {} events", thousands(*size as f64));
        bench.section.add(Figure::new(name("bytes of WAL"), Unit::Count, bytes));
        bench.section.add(Figure::new(
            name("hundredths of a page written whole"),
            Unit::Count,
            pages,
        ));
        bench.section.add(Figure::new(name("pages of indexes touched"), Unit::Count, touched));
        bench.section.add(Figure::new(
            name("hundredths of a page that was not in Postgres' buffers"),
            Unit::Count,
            read,
        ));
    }
    Ok(())
}

fn report(bench: &mut Bench<'_>, sizes: &[u64], rounds: &[Rounds]) {
    let small = rounds[0].rates();
    for (size, rounds) in sizes.iter().zip(rounds) {
        let name = format!("append on {} events, {CALLERS} callers", thousands(*size as f64));
        bench.section.add(Figure::new(&name, Unit::PerSecond, rounds.rates()));
        bench.section.add(Figure::new(format!("{name}, p99"), Unit::Ms, rounds.p99s()));
        bench.section.point(CHART, "daybook", (*size as f64, median(&rounds.rates())));
    }
    for (size, rounds) in sizes.iter().zip(rounds).skip(1) {
        let of = |size: u64| thousands(size as f64);
        let name = format!("cost of an append on {} events / on {}", of(*size), of(sizes[0]));
        bench.section.add(Figure::ratio(name, &small, &rounds.rates()).at_most(1.2));
    }
}

/// What Postgres wrote ahead for each append, and which pages it needed, round by round.
#[derive(Clone, Default)]
struct Written {
    bytes: Vec<f64>,
    /// Pages that were touched for the first time since the last checkpoint, in hundredths.
    pages: Vec<f64>,
    touched: Vec<f64>,
    /// In hundredths.
    read: Vec<f64>,
}

/// A log of so many streams of one event each.
struct Grown {
    name: String,
    database: Database,
    ours: Ours,
    size: u64,
    appended: Arc<AtomicU64>,
}

impl Grown {
    async fn open(bench: &Bench<'_>, nth: &str, size: u64) -> Result<Self> {
        let name = format!("growth_{size}{nth}");
        let database = bench.servers.database(&name).await?;
        let ours = Ours::open(&database, 0).await?;
        fill::copy(&database, size).await?;
        ours.0.refresh_heads().await?;
        Ok(Grown { name, database, ours, size, appended: Arc::new(AtomicU64::new(0)) })
    }

    /// Without a checkpoint before it, for once: see [`WARM_UP`].
    async fn round(&self, bench: &Bench<'_>, written: &mut Written) -> Result<Round> {
        let client = self.database.connect("bench growth").await?;
        let so_far = async || -> Result<[f64; 4]> {
            // Backends tell what they did within a second of it.
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            let sql = "select wal_bytes::float8, wal_fpi::float8, (idx_blks_hit + idx_blks_read)::float8, \
                         (idx_blks_read + heap_blks_read)::float8 \
                       from pg_stat_wal, pg_statio_user_tables where schemaname = 'shop' and relname = 'event'";
            let row = client.query_one(sql, &[]).await?;
            Ok([0, 1, 2, 3].map(|at| row.get(at)))
        };
        let before = so_far().await?;
        let round = self.append_for(bench.pace.round().min(Duration::from_secs(2))).await?;
        let after = so_far().await?;
        let each = |at: usize| (after[at] - before[at]) / round.all as f64;
        written.bytes.push(each(0));
        written.pages.push(each(1) * 100.0);
        written.touched.push(each(2));
        written.read.push(each(3) * 100.0);
        Ok(round)
    }

    async fn append_for(&self, time: Duration) -> Result<Round> {
        let before = self.appended.load(Ordering::Relaxed);
        let (log, size, appended) = (self.ours.0.clone(), self.size, self.appended.clone());
        let one = move |_caller, number| {
            let (log, nth) = (log.clone(), appended.fetch_add(1, Ordering::Relaxed));
            async move {
                if nth % 2 == 0 {
                    let stream = format!("order-{}", Uuid::now_v7());
                    return daybook::append(&log, stream, 0, number).await;
                }
                let (nth, size) = (nth / 2, size);
                let stream = fill::stream(nth * STRIDE % size);
                daybook::append(&log, stream, i64::try_from(1 + nth / size)?, number).await
            }
        };
        let round = closed_loop(CALLERS, time, one).await?;
        let stored = u64::try_from(count(&self.database, "shop.event").await?)?;
        let expected = self.size + before + round.all;
        ensure!(stored == expected, "{stored} events are stored, not {expected}");
        Ok(round)
    }

    async fn close(self, bench: &Bench<'_>) -> Result<()> {
        self.ours.0.close().await;
        drop(self.ours);
        bench.servers.drop_database(&self.name).await
    }
}
