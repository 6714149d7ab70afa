//! The follower that posts the orders view, from the beginning of two logs to their heads: as it does when it was away,
//! or falls behind.

use crate::bench::Bench;
use crate::fill::orders::{EVENTS, Lines, Orders, projection};
use crate::report::{Figure, Unit};
use anyhow::{Context, Result, ensure};
use event_store::follow::{Feed, Follower, Runner};
use projections::{Place, Posting};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const DATABASE: &str = "bench_view";
/// Until everything must have been posted.
const PATIENCE: Duration = Duration::from_secs(300);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let orders = bench.pace.pick(100_000, 10_000);
    let database = bench.servers.database(DATABASE).await?;
    let shop = Orders::open(&database, orders, Lines::Two).await?;
    let mut rates = Vec::new();
    for _ in 0..bench.pace.rounds {
        rates.push(posted(&shop, orders).await?);
    }
    shop.close().await;
    bench.servers.drop_database(DATABASE).await?;
    let figure = Figure::new("live follower into the orders view", Unit::PerSecond, rates);
    bench.section.add(figure.at_least(50_000.0));
    Ok(())
}

/// Events/s.
async fn posted(shop: &Orders, orders: i64) -> Result<f64> {
    let projection = projection("orders")?;
    let generation = shop.generations.live("orders").context("no generation is live")?;
    let place = Place::new(&shop.read, generation);
    let client = shop.read.pool.get().await?;
    let anew = place.sql("truncate {schema}.order_{g}; delete from {schema}.checkpoint");
    client.batch_execute(&anew).await?;
    let stop = CancellationToken::new();
    let runner = Runner::new(shop.logs.iter().cloned().map(Feed::new).collect(), stop.clone());
    let follower: Arc<dyn Follower> =
        Arc::new(Posting { projection, place: place.clone(), fills: false });
    let began = Instant::now();
    runner.follow(&follower, generation, &shop.read);
    let done = "select coalesce(sum(next_offset), 0)::bigint from orders_read.checkpoint";
    let done = client.prepare(done).await?;
    while client.query_one(&done, &[]).await?.get::<_, i64>(0) < orders * EVENTS {
        ensure!(began.elapsed() < PATIENCE, "not all is posted: {:?}", runner.stopped());
        sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed();
    stop.cancel();
    runner.wait().await;
    let shipped =
        place.sql("select count(*) from {schema}.order_{g} where fulfilment_status = 'fulfilled'");
    let rows: i64 = client.query_one(&shipped, &[]).await?.get(0);
    ensure!(rows == orders, "{rows} orders are shown as shipped, not {orders}");
    Ok((orders * EVENTS) as f64 / took.as_secs_f64())
}
