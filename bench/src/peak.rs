//! Orders accepted over HTTP: as many as callers in a closed loop get in, beside pgbench's single-row insert; then
//! their latency at seven tenths of that. Sagas and read models run; what they are behind is worked off between
//! the rounds, untimed.

use crate::bench::Bench;
use crate::caller::Caller;
use crate::door::Door;
use crate::limits::Pgbench;
use crate::load::{self, Latencies, Rounds};
use crate::process::Daybook;
use crate::report::{Figure, Section, Unit, median};
use crate::shop;
use anyhow::{Context, Result, ensure};
use event_store::Database;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CALLERS: [usize; 3] = [32, 64, 128];
const PGBENCH_CLIENTS: [usize; 4] = [16, 32, 64, 128];
/// Of the open loop.
const FREE_CALLERS: usize = 256;
const LINES: usize = 4;
const DRAIN: Duration = Duration::from_secs(600);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let orders = bench.pace.pick(20_000, 1_000);
    let pgbench = Pgbench::open(bench.servers, "peak_pgbench", 100_000).await?;
    let mut theirs = BTreeMap::new();
    for clients in PGBENCH_CLIENTS {
        theirs.insert(clients, vec![pgbench.run(clients, bench.pace.round()).await?]);
    }
    let data = bench.servers.folder("peak");
    let (daybook, _) = Daybook::start(&data, &[]).await?;
    shop::prepare(&daybook.door()).await?;
    let mut ours = BTreeMap::new();
    for callers in CALLERS {
        ours.insert(callers, vec![Turn::take(&daybook, callers, orders / 4).await?]);
    }
    // Who did best of each goes on, in turn; a quarter of the orders is enough to see who that is.
    let clients = best(&theirs, |rows| *rows);
    let callers = best(&ours, |turn| turn.rate);
    let (tried, rounds) = (CALLERS.len() * (orders / 4), bench.pace.pick(bench.pace.rounds, 1));
    theirs.insert(clients, Vec::new());
    ours.insert(callers, Vec::new());
    for _ in 0..rounds {
        theirs.entry(clients).or_default().push(pgbench.run(clients, bench.pace.round()).await?);
        ours.entry(callers).or_default().push(Turn::take(&daybook, callers, orders).await?);
    }
    for (clients, rows) in &theirs {
        let name = format!("pgbench, one insert each, {clients} clients");
        bench.section.add(Figure::new(name, Unit::PerSecond, rows.clone()));
    }
    for (callers, turns) in &ours {
        show(&mut bench.section, *callers, turns);
    }
    let rates: Vec<_> = ours[&callers].iter().map(|turn| turn.rate).collect();
    let name = format!("orders accepted, {callers} callers / pgbench's inserts, {clients} clients");
    bench.section.add(Figure::ratio(name, &rates, &theirs[&clients]).at_least(0.5));
    let sent = at_seven_tenths(&daybook, median(&rates) * 0.7, bench).await?;
    verify_placed(&shop::database(&data)?, (tried + rounds * orders) as u64 + sent).await?;
    daybook.stop().await
}

fn best<T>(by: &BTreeMap<usize, Vec<T>>, rate: impl Fn(&T) -> f64) -> usize {
    let most = by.iter().max_by(|(_, one), (_, other)| rate(&one[0]).total_cmp(&rate(&other[0])));
    most.map_or(0, |(many, _)| *many)
}

/// So many orders, and no others, are in the log.
pub async fn verify_placed(orders: &Database, expected: u64) -> Result<()> {
    let sql = "select count(*) from orders.event where type = 'order.placed'";
    let placed: i64 = orders.connect("bench").await?.query_one(sql, &[]).await?.get(0);
    ensure!(u64::try_from(placed)? == expected, "{placed} orders are placed, not {expected}");
    Ok(())
}

/// So many orders, as fast as so many callers get in.
struct Turn {
    rate: f64,
    p50: f64,
    p99: f64,
    refused: f64,
    /// Seconds until what follows was done.
    behind: f64,
}

impl Turn {
    async fn take(daybook: &Daybook, callers: usize, orders: usize) -> Result<Self> {
        let turn = closed_loop(daybook, callers, orders).await?;
        let behind = drained(&daybook.door()).await?.as_secs_f64();
        Ok(Turn { behind, ..turn })
    }
}

fn show(section: &mut Section, callers: usize, turns: &[Turn]) {
    let of = |what: fn(&Turn) -> f64| turns.iter().map(what).collect::<Vec<_>>();
    let name = |what| format!("orders of {LINES} lines accepted, {callers} callers{what}");
    section.add(Figure::new(name(""), Unit::PerSecond, of(|turn| turn.rate)));
    section.add(Figure::new(name(", p50"), Unit::Ms, of(|turn| turn.p50)));
    section.add(Figure::new(name(", p99"), Unit::Ms, of(|turn| turn.p99)));
    section.add(Figure::new(name(", refused at first"), Unit::Count, of(|turn| turn.refused)));
    let name = format!("{callers} callers: until what follows was done");
    section.add(Figure::new(name, Unit::Seconds, of(|turn| turn.behind)));
}

async fn closed_loop(daybook: &Daybook, callers: usize, orders: usize) -> Result<Turn> {
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
    let (p50, p99) = (all.quantile_ms(0.5), all.quantile_ms(0.99));
    let refused = refused.load(Ordering::Relaxed) as f64;
    Ok(Turn { rate, p50, p99, refused, behind: 0.0 })
}

/// How many were accepted.
async fn at_seven_tenths(daybook: &Daybook, rate: f64, bench: &mut Bench<'_>) -> Result<u64> {
    let refused = Arc::new(AtomicUsize::new(0));
    let (mut rounds, mut in_time, mut sent) = (Rounds::default(), true, 0);
    for _ in 0..bench.pace.pick(bench.pace.rounds, 1) {
        // Connections that nobody used since the last round are closed.
        let mut free = Vec::new();
        for _ in 0..FREE_CALLERS {
            free.push(Mutex::new(Caller::connect(&daybook.url).await?));
        }
        let (free, counted) = (Arc::new(free), refused.clone());
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
        let (round, kept_up) = load::open_loop(FREE_CALLERS, rate, bench.pace.round(), one).await?;
        drained(&daybook.door()).await?;
        in_time &= kept_up;
        sent += round.all;
        rounds.0.push(round);
    }
    ensure!(in_time || bench.pace.quick, "seven tenths of the most were not kept up with");
    let name = |what| format!("at seven tenths of the most, open loop{what}");
    let section = &mut bench.section;
    section.add(Figure::new(name(""), Unit::PerSecond, rounds.rates()));
    section.add(Figure::new(name(", p50"), Unit::Ms, rounds.p50s()));
    section.add(Figure::new(name(", p99"), Unit::Ms, rounds.p99s()).at_most(50.0));
    let refused = refused.load(Ordering::Relaxed) as u64;
    let none = Figure::new(name(", refused"), Unit::Count, vec![refused as f64]);
    section.add(none.at_most(0.0));
    Ok(sent - refused)
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
