//! The shop apart, a process for each service, under a light load; then one service after the other stands still or is
//! killed, and what those notice who ask the others.

use crate::bench::Bench;
use crate::door::{Door, SERVICES};
use crate::load::open_loop;
use crate::peak::drained;
use crate::report::{Figure, Unit, median};
use crate::shape::{Shape, Shop};
use crate::shop::{self, SKUS, order};
use anyhow::{Context, Result, ensure};
use event_store::Database;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Questions to each service, a second, and orders.
const QUESTIONS: f64 = 50.0;
const ORDERS: f64 = 20.0;
const CALLERS: usize = 16;
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// What somebody asks, and of whom.
struct Call {
    service: &'static str,
    name: &'static str,
    path: String,
}

/// By the name of a call, the 99th percentile of its time in milliseconds.
type Noticed = BTreeMap<&'static str, f64>;

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut shop = Shop::lay(bench.servers, "absent", Shape::Split).await?;
    let mut running = shop.start().await?;
    let door = &running.door.clone();
    let calls = prepare(door, &shop.orders).await?;
    let time = bench.pace.pick(Duration::from_secs(12), Duration::from_millis(1_500));
    // Nobody pays for cold caches.
    asked(door, &calls, None, time / 3).await?;
    let mut without = BTreeMap::<_, Vec<f64>>::new();
    let mut with = Vec::new();
    for away in SERVICES {
        for (name, p99) in asked(door, &calls, None, time).await? {
            without.entry(name).or_default().push(p99);
        }
        let frost = running.freeze(away)?;
        with.push((format!("the {away} frozen"), asked(door, &calls, Some(away), time).await?));
        drop(frost);
        drained(door).await?;
        running.process(away)?.kill().await?;
        with.push((format!("the {away} killed"), asked(door, &calls, Some(away), time).await?));
        running.process(away)?.again().await?;
        drained(door).await?;
    }
    let mut ratios = Vec::new();
    for (away, amid) in with {
        for (name, p99) in &amid {
            bench.section.add(Figure::new(format!("{name}, p99, {away}"), Unit::Ms, vec![*p99]));
        }
        let worst = amid.iter().map(|(name, p99)| (p99 / median(&without[name]), *name));
        let worst = worst.max_by(|one, other| one.0.total_cmp(&other.0));
        ratios.push((away, worst.context("nobody asked")?));
    }
    for (name, p99s) in without {
        bench.section.add(Figure::new(format!("{name}, p99, all there"), Unit::Ms, p99s));
    }
    for (away, (ratio, name)) in ratios {
        let figure = format!("p99 with {away} / all there, the worst");
        bench.section.add(Figure::new(figure, Unit::Times, vec![ratio]).at_most(2.0));
        bench.section.note(format!("The worst with {away}: {name}."));
    }
    running.stop().await
}

async fn prepare(door: &Door, orders: &Database) -> Result<Vec<Call>> {
    shop::prepare(door).await?;
    let (client, began) = (orders.connect("bench").await?, Instant::now());
    let priced = "select count(*) from orders_read.price";
    while client.query_one(priced, &[]).await?.get::<_, i64>(0) < i64::try_from(SKUS)? {
        ensure!(began.elapsed() < PATIENCE, "the orders never learned of the prices");
        sleep(Duration::from_millis(100)).await;
    }
    let first = door.post("/v1/orders", &serde_json::from_str(&order(0, 1))?).await?;
    let first = first["stream"].as_str().context("no stream")?.trim_start_matches("order-");
    let shown = async || {
        Ok::<_, anyhow::Error>(
            door.get(&format!("/v1/orders/{first}")).await?["status"] == "confirmed",
        )
    };
    while !shown().await.is_ok_and(|shown| shown) {
        ensure!(began.elapsed() < PATIENCE, "the first order was never confirmed");
        sleep(Duration::from_millis(100)).await;
    }
    let call = |service, name, path| Call { service, name, path };
    Ok(vec![
        call("catalogue", "a product asked for at 50/s", "/v1/products/SKU7".to_owned()),
        call("orders", "an order asked for at 50/s", format!("/v1/orders/{first}")),
        call("inventory", "a stock level asked for at 50/s", "/v1/stock/SKU7".to_owned()),
        call("payments", "a payment asked for at 50/s", format!("/v1/payments/{first}")),
        call("checkout", "a checkout asked for at 50/s", format!("/v1/checkouts/{first}")),
    ])
}

/// Asks everybody but who is away, and places orders, unless theirs is.
async fn asked(door: &Door, calls: &[Call], away: Option<&str>, time: Duration) -> Result<Noticed> {
    let there = calls.iter().filter(|call| away != Some(call.service));
    let asking = there.map(async |call| {
        let (door, path) = (door.clone(), call.path.clone());
        let one = move |_, _| {
            let (door, path) = (door.clone(), path.clone());
            async move { door.get(&path).await.map(drop) }
        };
        let (round, in_time) = open_loop(CALLERS, QUESTIONS, time, one).await?;
        ensure!(in_time, "{} was not kept up with", call.name);
        Ok((call.name, round.p99))
    });
    let placing = async {
        if away == Some("orders") {
            return Ok(None);
        }
        let door = door.clone();
        let one = move |_, number: u64| {
            let door = door.clone();
            async move {
                let order = serde_json::from_str(&order(number as usize % SKUS, 1))?;
                door.post("/v1/orders", &order).await.map(drop)
            }
        };
        let (round, in_time) = open_loop(CALLERS, ORDERS, time, one).await?;
        ensure!(in_time, "the orders were not kept up with");
        Ok(Some(("an order placed at 20/s", round.p99)))
    };
    let (asked, placed) = tokio::try_join!(try_join_all(asking), placing)?;
    Ok(asked.into_iter().chain(placed).collect())
}
