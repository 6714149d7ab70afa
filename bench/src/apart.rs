//! What it costs that each service is a process of its own with a database of its own: the way of an order over HTTP and
//! Kafka, beside one process, and with the gateway in front. All of them share this machine, its Postgres and its Kafka,
//! so none of what it is for, more machines, is seen here.

use crate::bench::Bench;
use crate::peak;
use crate::report::{Figure, Unit};
use crate::settled::{self, WINDOW};
use crate::shape::{Running, Shape, Shop};
use crate::shop;
use anyhow::{Result, ensure};
use event_store::Database;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PER_SECOND: [u32; 2] = [50, 100];
/// Until all that was sent is confirmed.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut contestants = Vec::new();
    for shape in [Shape::One, Shape::Split, Shape::Gateway] {
        contestants.push(Shop::lay(bench.servers, "apart", shape).await?);
    }
    let mut found: Vec<_> = contestants.iter().map(|_| Found::default()).collect();
    for _ in 0..bench.pace.pick(bench.pace.rounds, 1) {
        for (contestant, found) in contestants.iter_mut().zip(&mut found) {
            bench.servers.checkpoint().await?;
            turn(contestant, bench, found).await?;
        }
    }
    for (contestant, found) in contestants.iter().zip(&found) {
        found.show(contestant.shape.name(), bench);
    }
    let [one, others @ ..] = &found[..] else { return Ok(()) };
    for (contestant, other) in contestants[1..].iter().zip(others) {
        let name = format!("orders settled, {} / {}", contestant.shape.name(), Shape::One.name());
        bench.section.add(Figure::ratio(name, &other.rates, &one.rates));
    }
    Ok(())
}

/// Of one contestant, round by round.
#[derive(Default)]
struct Found {
    /// By orders a second, p50 and p99 of the time from placed to confirmed.
    confirmed: BTreeMap<u32, [Vec<f64>; 2]>,
    rates: Vec<f64>,
    cpu: BTreeMap<&'static str, Vec<f64>>,
    memory: Vec<f64>,
}

impl Found {
    fn show(&self, who: &str, bench: &mut Bench<'_>) {
        let section = &mut bench.section;
        for (per_second, quantiles) in &self.confirmed {
            for (rounds, p) in quantiles.iter().zip(["p50", "p99"]) {
                let name = format!("{who}: placed to confirmed, {per_second} orders/s, {p}");
                section.add(Figure::new(name, Unit::Ms, rounds.clone()));
            }
        }
        let name = format!("{who}: orders settled, {WINDOW} under way");
        section.add(Figure::new(name, Unit::PerSecond, self.rates.clone()));
        for (whose, rounds) in &self.cpu {
            let name = format!("{who}: processor time for each order settled, {whose}");
            section.add(Figure::new(name, Unit::Ms, rounds.clone()));
        }
        let name = format!("{who}: memory of all its processes");
        section.add(Figure::new(name, Unit::Mib, self.memory.clone()));
    }
}

/// Its processes are started for its turn and ended with it, so that nobody pays for others who idle.
async fn turn(contestant: &mut Shop, bench: &Bench<'_>, found: &mut Found) -> Result<()> {
    let running = contestant.start().await?;
    let (door, orders) = (running.door.clone(), &contestant.orders);
    if contestant.is_new() {
        shop::prepare(&door).await?;
    }
    // The first orders of new processes would tell of their cold caches.
    let (warm, time, settling) = bench.pace.pick((5, 12, [5, 10]), (1, 2, [1, 2]));
    placed(&running, orders, 50, warm).await?;
    for per_second in PER_SECOND {
        let quantiles = placed(&running, orders, per_second, time).await?;
        let rounds = found.confirmed.entry(per_second).or_default();
        rounds.iter_mut().zip(quantiles).for_each(|(rounds, ms)| rounds.push(ms));
    }
    let url = door.url("/v1/orders");
    let settled = settled::load(&url, orders, settling.map(Duration::from_secs)).await?;
    found.rates.push(settled.rate());
    for (whose, ms) in settled.cpu() {
        found.cpu.entry(whose).or_default().push(ms);
    }
    found.memory.push(running.memory_mib()?);
    peak::drained(&door).await?;
    running.stop().await
}

/// Places orders in an open loop, waits until all of them are confirmed, and tells how long that took by the log's own
/// clock: the placing and the confirmation are in one log, whoever confirmed.
async fn placed(
    running: &Running,
    orders: &Database,
    per_second: u32,
    seconds: u32,
) -> Result<[f64; 2]> {
    let client = orders.connect("bench").await?;
    let count = async |event_type: &str| {
        let sql = "select count(*) from orders.event where type = $1";
        Ok::<i64, anyhow::Error>(client.query_one(sql, &[&event_type]).await?.get(0))
    };
    let before = count("order.placed").await?;
    let (began, new) = (Instant::now(), shop::send(&running.door, per_second, seconds).await?);
    while count("order.confirmed").await? < before + i64::from(new) {
        ensure!(began.elapsed() < PATIENCE, "not all of {new} orders were confirmed");
        sleep(Duration::from_millis(100)).await;
    }
    let (p50, p99) = shop::confirmed(orders, u32::try_from(before)?, new).await?;
    Ok([p50, p99])
}
