//! Read models posted again from the log, of orders that were placed, confirmed and shipped.

use crate::bench::Bench;
use crate::fill::orders::{Orders, projection};
use crate::report::{Figure, Unit};
use anyhow::Result;
use std::sync::Arc;

const NAME: &str = "bench_rebuild";

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let database = bench.servers.database(NAME).await?;
    let shop = Orders::open(&database, bench.pace.pick(100_000, 10_000)).await?;
    for name in ["orders", "order-history", "sales"] {
        let projection = projection(name)?;
        let mut rates = Vec::new();
        for _ in 0..bench.pace.rounds {
            let tell = Arc::new(|_| {});
            let rebuilt = projections::rebuild(&projection, &shop.read, &shop.logs, tell).await?;
            rates.push(rebuilt.events as f64 / rebuilt.took.as_secs_f64());
        }
        bench.section.add(Figure::new(format!("rebuild of {name}"), Unit::PerSecond, rates));
    }
    shop.close().await;
    bench.servers.drop_database(NAME).await
}
