//! Orders accepted over HTTP: as many as callers in a closed loop get in, beside pgbench's single-row insert; then
//! their latency at seven tenths of that. Sagas and read models run; what they are behind is worked off between
//! the rounds, untimed.

use crate::bench::Bench;
use crate::caller::Caller;
use crate::door::Door;
use crate::limits::Pgbench;
use crate::load::{self, Latencies};
use crate::process::Daybook;
use crate::report::{Figure, Unit};
use crate::shop;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CALLERS: [usize; 3] = [32, 64, 128];
const PGBENCH_CLIENTS: [usize; 3] = [16, 32, 64];
/// Of the open loop.
const FREE_CALLERS: usize = 256;
const LINES: usize = 4;
const DRAIN: Duration = Duration::from_secs(600);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let orders = bench.pace.pick(20_000, 1_000);
    let mut theirs: f64 = 0.0;
    let pgbench = Pgbench::open(bench.servers, "peak_pgbench", 100_000).await?;
    for clients in PGBENCH_CLIENTS {
        let rows = pgbench.run(clients, bench.pace.round()).await?;
        let name = format!("pgbench, one insert each, {clients} clients");
        bench.section.add(Figure::new(name, Unit::PerSecond, vec![rows]));
        theirs = theirs.max(rows);
    }
    let (daybook, _) = Daybook::start(&bench.servers.folder("peak"), &[]).await?;
    shop::prepare(&daybook.door()).await?;
    let mut ours: f64 = 0.0;
    for callers in CALLERS {
        let rate = closed_loop(&daybook, callers, orders, &mut bench.section).await?;
        ours = ours.max(rate);
        let behind = drained(&daybook.door()).await?.as_secs_f64();
        let name = format!("{callers} callers: until what follows was done");
        bench.section.add(Figure::new(name, Unit::Seconds, vec![behind]));
    }
    let name = "orders accepted beside pgbench's inserts";
    bench.section.add(Figure::ratio(name, &[ours], &[theirs]).at_least(0.5));
    at_seven_tenths(&daybook, ours * 0.7, bench).await?;
    drained(&daybook.door()).await?;
    daybook.stop().await
}

async fn closed_loop(
    daybook: &Daybook,
    callers: usize,
    orders: usize,
    section: &mut crate::report::Section,
) -> Result<f64> {
    let next = Arc::new(AtomicUsize::new(0));
    let refused = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..callers {
        let mut caller = Caller::connect(&daybook.url).await?;
        let (next, refused) = (next.clone(), refused.clone());
        tasks.spawn(async move {
            let mut latencies = Latencies::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= orders {
                    return Ok::<_, anyhow::Error>(latencies);
                }
                loop {
                    let began = Instant::now();
                    if caller.place(shop::order(i, LINES)).await? {
                        latencies.record(began.elapsed());
                        break;
                    }
                    refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }
    let mut all = Latencies::new();
    while let Some(ended) = tasks.join_next().await {
        all.add(&ended??);
    }
    let rate = orders as f64 / began.elapsed().as_secs_f64();
    let name = |what| format!("orders of {LINES} lines accepted, {callers} callers{what}");
    section.add(Figure::new(name(""), Unit::PerSecond, vec![rate]));
    section.add(Figure::new(name(", p50"), Unit::Ms, vec![all.quantile_ms(0.5)]));
    section.add(Figure::new(name(", p99"), Unit::Ms, vec![all.quantile_ms(0.99)]));
    let refused = refused.load(Ordering::Relaxed) as f64;
    if refused > 0.0 {
        section.add(Figure::new(name(", refused at first"), Unit::Count, vec![refused]));
    }
    Ok(rate)
}

async fn at_seven_tenths(daybook: &Daybook, rate: f64, bench: &mut Bench<'_>) -> Result<()> {
    let mut free = Vec::new();
    for _ in 0..FREE_CALLERS {
        free.push(Mutex::new(Caller::connect(&daybook.url).await?));
    }
    let (free, refused) = (Arc::new(free), Arc::new(AtomicUsize::new(0)));
    let counted = refused.clone();
    let one = move |caller: usize, i: u64| {
        let (free, refused) = (free.clone(), counted.clone());
        async move {
            let order = shop::order(usize::try_from(i)?, LINES);
            if !free[caller].lock().await.place(order).await? {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    };
    let (round, _) = load::open_loop(FREE_CALLERS, rate, bench.pace.round(), one).await?;
    let name = |what| format!("at seven tenths of the most, open loop{what}");
    let section = &mut bench.section;
    section.add(Figure::new(name(""), Unit::PerSecond, vec![round.rate]));
    section.add(Figure::new(name(", p50"), Unit::Ms, vec![round.p50]));
    section.add(Figure::new(name(", p99"), Unit::Ms, vec![round.p99]).at_most(50.0));
    let refused = refused.load(Ordering::Relaxed) as f64;
    section.add(Figure::new(name(", refused"), Unit::Count, vec![refused]));
    Ok(())
}

/// How long it takes until no order waits any more.
pub async fn drained(door: &Door) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let page = door.get("/v1/orders?status=placed&limit=1").await?;
        let placed = page["items"].as_array().context("no items")?.len();
        if placed == 0 {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < DRAIN, "orders are still placed after {} s", DRAIN.as_secs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
