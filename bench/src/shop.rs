//! The binary itself, from the outside: start, memory, and orders on their way to confirmed.

use crate::bench::Bench;
use crate::cpu::Cpu;
use crate::door::Door;
use crate::process::Daybook;
use crate::report::{Figure, Unit};
use anyhow::{Context, Result, bail};
use event_store::Database;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

pub const SKUS: usize = 200;
/// 150 MB, in MiB.
const MEMORY: f64 = 150e6 / (1024.0 * 1024.0);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let data = bench.servers.folder("shop");
    let (daybook, start) = Daybook::start(&data, &[]).await?;
    let start = vec![start.as_secs_f64()];
    bench.section.add(Figure::new("start to the first command, new data", Unit::Seconds, start));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, watched) = (Cpu::now()?, bench.pace.pick(30, 2));
    tokio::time::sleep(Duration::from_secs(watched)).await;
    for (name, ms) in Cpu::now()?.since(&before, watched as f64) {
        if name == "daybook" {
            let busy = Figure::new("idle, of one core", Unit::Percent, vec![ms / 10.0]);
            bench.section.add(busy.at_most(1.0));
        }
    }
    let idle = vec![daybook.memory_mib()?];
    bench.section.add(Figure::new("memory, idle", Unit::Mib, idle).at_most(MEMORY));
    prepare(&daybook.door()).await?;
    let mut placed = 0;
    for per_second in [50, 100] {
        let way = format!("{per_second} orders/s");
        placed += settle(bench, (&daybook, &data), (per_second, &way), placed).await?;
    }
    let afterwards = vec![daybook.memory_mib()?];
    bench.section.add(Figure::new("memory, afterwards", Unit::Mib, afterwards));
    daybook.stop().await?;
    let mut again = Vec::new();
    for _ in 0..bench.pace.pick(bench.pace.rounds, 1) {
        let (daybook, took) = Daybook::start(&data, &[]).await?;
        again.push(took.as_secs_f64());
        daybook.stop().await?;
    }
    let again = Figure::new("start to the first command, data there", Unit::Seconds, again);
    bench.section.add(again.at_most(2.0));
    let (daybook, _) = Daybook::start(&data, &["--shortcut=false"]).await?;
    // The first orders of a new process would tell of its cold caches.
    placed += orders(&daybook, 50, bench.pace.pick(10, 1), placed).await?;
    let way = "100 orders/s, each step by way of Kafka";
    settle(bench, (&daybook, &data), (100, way), placed).await?;
    daybook.stop().await
}

/// Places orders in an open loop, and tells how long each took to be confirmed, and what it cost.
async fn settle(
    bench: &mut Bench<'_>,
    (daybook, data): (&Daybook, &Path),
    (per_second, way): (u32, &str),
    placed: u32,
) -> Result<u32> {
    let (mut p50s, mut p99s, mut cost) = (Vec::new(), Vec::new(), BTreeMap::<_, Vec<_>>::new());
    let mut new = 0;
    for _ in 0..bench.pace.pick(bench.pace.rounds, 1) {
        let before = Cpu::now()?;
        let round = orders(daybook, per_second, bench.pace.pick(30, 3), placed + new).await?;
        for (whose, ms) in Cpu::now()?.since(&before, f64::from(round)) {
            cost.entry(whose).or_default().push(ms);
        }
        let (p50, p99) = confirmed(&database(data)?, placed + new, round).await?;
        p50s.push(p50);
        p99s.push(p99);
        new += round;
    }
    let name = |what: &str| format!("placed to confirmed, {way}, {what}");
    let p50 = Figure::new(name("p50"), Unit::Ms, p50s);
    let p99 = Figure::new(name("p99"), Unit::Ms, p99s);
    let of_goal = per_second == 100;
    bench.section.add(if of_goal { p50.at_most(50.0) } else { p50 });
    bench.section.add(if of_goal { p99.at_most(250.0) } else { p99 });
    for (whose, ms) in cost {
        let name = name(&format!("processor time for each order, {whose}"));
        bench.section.add(Figure::new(name, Unit::Ms, ms));
    }
    Ok(new)
}

/// An order of so many lines, which differ from order to order.
pub fn order(i: usize, lines: usize) -> String {
    let line = |n: usize| format!(r#"{{"sku":"SKU{}","quantity":1}}"#, (i * 7 + n * 13) % SKUS);
    let lines: Vec<_> = (0..lines).map(line).collect();
    let lines = lines.join(",");
    format!(r#"{{"country":"GB","payment_method":"pm_card_visa","lines":[{lines}]}}"#)
}

/// The database that the binary brought along.
pub fn database(data: &Path) -> Result<Database> {
    let runtime =
        daybook::embedded::Runtime::find(data).context("no running Daybook is announced")?;
    let url = runtime.database_url.context("no database is announced")?;
    Ok(Database::parse(&url)?)
}

pub async fn prepare(door: &Door) -> Result<()> {
    for i in 0..SKUS {
        let price = json!({"amount": 250, "currency": "GBP"});
        let product = json!({"sku": format!("SKU{i}"), "name": "Thing", "price": price});
        door.post("/v1/products", &product).await?;
        door.post(&format!("/v1/stock/SKU{i}/receive"), &json!({"quantity": 1_000_000})).await?;
    }
    Ok(())
}

/// Open loop: an order is sent when it is due, whatever became of those before.
pub async fn send(door: &Door, per_second: u32, seconds: u32) -> Result<u32> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let mut tasks = tokio::task::JoinSet::new();
    let count = per_second * seconds;
    for i in 0..count as usize {
        ticks.tick().await;
        let line =
            |n: usize| json!({"sku": format!("SKU{}", (i * 7 + n * 13) % SKUS), "quantity": 1 + n});
        let order =
            json!({"country": "GB", "payment_method": "pm_card_visa", "lines": [line(0), line(1)]});
        let door = door.clone();
        tasks.spawn(async move { door.post("/v1/orders", &order).await });
    }
    while let Some(sent) = tasks.join_next().await {
        sent??;
    }
    Ok(count)
}

/// The same, and waits until a query shows all of them as confirmed.
async fn orders(daybook: &Daybook, per_second: u32, seconds: u32, before: u32) -> Result<u32> {
    let count = send(&daybook.door(), per_second, seconds).await?;
    let all = "/v1/orders?status=confirmed&limit=1000";
    let began = Instant::now();
    loop {
        let mut confirmed = 0;
        let mut next = String::new();
        loop {
            let page = daybook.get(&format!("{all}{next}")).await?;
            confirmed += page["items"].as_array().map_or(0, Vec::len);
            match page["next"].as_str() {
                Some(cursor) => next = format!("&after={cursor}"),
                None => break,
            }
        }
        if confirmed >= (before + count) as usize {
            return Ok(count);
        }
        if began.elapsed() > Duration::from_secs(60) {
            bail!("only {confirmed} of {count} orders were confirmed");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Placed to confirmed, of the newest orders, by the log's own clock.
pub async fn confirmed(orders: &Database, before: u32, placed: u32) -> Result<(f64, f64)> {
    let client = orders.connect("bench").await?;
    let row = client
        .query_one(
            "select count(*), percentile_cont(array[0.5, 0.99]) within group (order by \
               extract(epoch from c.recorded_at - p.recorded_at)::float8 * 1000) \
               from (select stream, recorded_at from orders.event where type = 'order.placed' \
                      order by recorded_at offset $1) p \
               join orders.event c using (stream) where c.type = 'order.confirmed'",
            &[&i64::from(before)],
        )
        .await?;
    let (count, quantiles): (i64, Vec<f64>) = (row.get(0), row.get(1));
    if count != i64::from(placed) {
        bail!("{count} of {placed} orders are confirmed in the log");
    }
    Ok((quantiles[0], quantiles[1]))
}
