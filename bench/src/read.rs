//! Reading the log partition by partition, as a follower that is behind does, beside COPY of the same columns.

use crate::bench::Bench;
use crate::fill;
use crate::peers::Ours;
use crate::peers::daybook::PARTITIONS;
use crate::report::{Figure, Unit};
use anyhow::{Result, ensure};
use event_store::{Database, Log};
use futures_util::TryStreamExt;
use std::time::Instant;

/// What the library's followers take at once.
const PAGE: i64 = 1_000;

const COLUMNS: &str = "partition, log_offset, stream, version, event_id, command_id, ordinal, type, schema_version, \
     payload, metadata, occurred_at, recorded_at";

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let events = bench.pace.pick(1_000_000, 100_000);
    let database = bench.servers.database("read").await?;
    let log = Ours::open(&database, 0).await?.0;
    fill::copy(&database, events).await?;
    let (mut read, mut copied) = (Vec::new(), Vec::new());
    for _ in 0..bench.pace.rounds {
        read.push(by_page(&log, events).await?);
        copied.push(by_copy(&database, events).await?);
    }
    log.close().await;
    bench.servers.drop_database("read").await?;
    let ratio = Figure::ratio("read by page / COPY", &read, &copied).at_least(0.5);
    let name = format!("pages of {PAGE} events, one partition after another");
    bench.section.add(Figure::new(name, Unit::PerSecond, read));
    bench.section.add(Figure::new("COPY of the same columns to stdout", Unit::PerSecond, copied));
    bench.section.add(ratio);
    Ok(())
}

async fn by_page(log: &Log, events: u64) -> Result<f64> {
    let (began, mut seen) = (Instant::now(), 0);
    for partition in 0..log.partitions() {
        let mut next = 0;
        loop {
            let page = log.read_partition(partition, next, PAGE).await?;
            let Some(last) = page.last() else { break };
            next = last.offset + 1;
            seen += page.len() as u64;
        }
    }
    ensure!(seen == events, "{seen} events were read, not {events}");
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

async fn by_copy(database: &Database, events: u64) -> Result<f64> {
    let client = database.connect("bench read").await?;
    let (began, mut seen) = (Instant::now(), 0);
    for partition in 0..PARTITIONS {
        let copy = format!(
            "copy (select {COLUMNS} from shop.event where partition = {partition} order by log_offset) \
             to stdout (format binary)"
        );
        let mut rows = std::pin::pin!(client.copy_out(&copy).await?);
        // Each row comes in a message of its own, and the end in one more; nothing is made of them.
        while rows.try_next().await?.is_some() {
            seen += 1;
        }
        seen -= 1;
    }
    ensure!(seen == events, "{seen} rows were copied, not {events}");
    Ok(events as f64 / began.elapsed().as_secs_f64())
}
