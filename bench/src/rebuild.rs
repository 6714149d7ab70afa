//! Read models posted again from the log, of orders that were placed, confirmed and shipped: how fast, beside COPY of the
//! same events, and in how much memory, whatever the log's length is.

use crate::bench::Bench;
use crate::fill::orders::{EVENTS, Lines, Orders, fill_stock, projection};
use crate::report::{Figure, Unit};
use crate::servers::Login;
use anyhow::{Context, Result, ensure};
use event_store::Database;
use event_store::follow::Source;
use futures_util::TryStreamExt;
use projections::{Check, Work};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const NAME: &str = "bench_rebuild";

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut memory = Vec::new();
    for events in bench.pace.pick([100_000, 1_000_000], [10_000, 50_000]) {
        let database = bench.servers.database(NAME).await?;
        let orders = Orders::open(&database, events / EVENTS, Lines::Retail).await?;
        let mut peaks = Vec::new();
        for _ in 0..bench.pace.rounds {
            peaks.push(peak_of_rebuild(&database).await?);
        }
        let name = format!("peak memory of `daybook rebuild orders`, {events} events");
        bench.section.add(Figure::new(name, Unit::Mib, peaks.clone()));
        memory.push(peaks);
        if memory.len() == 2 {
            rates(bench, &database, &orders, events).await?;
        }
        orders.close().await;
        bench.servers.drop_database(NAME).await?;
    }
    let ratio = Figure::ratio("the same, ten times as many events / fewer", &memory[1], &memory[0]);
    bench.section.add(if bench.pace.quick { ratio } else { ratio.at_most(1.1) });
    Ok(())
}

async fn rates(
    bench: &mut Bench<'_>,
    database: &Database,
    orders: &Orders,
    events: i64,
) -> Result<()> {
    fill_stock(database, events).await?;
    let mut copied = Vec::new();
    for name in ["orders", "order-history", "sales", "stock"] {
        let projection = projection(name)?;
        let (mut rates, mut verifying) = (Vec::new(), Vec::new());
        for _ in 0..bench.pace.rounds {
            if name == "orders" {
                copied.push(by_copy(database, events).await?);
            }
            let read = if name == "stock" { &orders.stock } else { &orders.read };
            let logs: Vec<_> = orders.logs.iter().map(Source::from).collect();
            let (tell, stop) = (Arc::new(|_| {}), CancellationToken::new());
            let work = Work { projection: &projection, read, logs: &logs, tell, stop };
            let rebuilt = projections::rebuild(&work, Check::Verify).await?;
            rates.push(rebuilt.events as f64 / rebuilt.built.as_secs_f64());
            verifying.push((rebuilt.took - rebuilt.built).as_secs_f64());
        }
        let verified = format!("verification of {name}, and the switch");
        let rate = Figure::new(format!("rebuild of {name}"), Unit::PerSecond, rates.clone());
        let of_goal = name != "order-history";
        bench.section.add(if of_goal { rate.at_least(100_000.0) } else { rate });
        bench.section.add(Figure::new(verified, Unit::Seconds, verifying));
        if name == "orders" {
            let copy = "COPY of the same events to stdout".to_owned();
            bench.section.add(Figure::new(copy, Unit::PerSecond, copied.clone()));
            let ratio = Figure::ratio("rebuild of orders / COPY", &rates, &copied);
            bench.section.add(ratio.at_least(0.25));
        }
    }
    Ok(())
}

/// The binary's, by the kernel's account, in MiB.
async fn peak_of_rebuild(database: &Database) -> Result<f64> {
    let binary = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/daybook");
    let mut rebuild = Command::new(binary)
        .args(["rebuild", "orders", "--database-url", &Login::to(database)?.url()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = rebuild.id().context("it has ended")?;
    let mut peak = 0.0;
    loop {
        if let Some(status) = rebuild.try_wait()? {
            ensure!(status.success(), "the rebuild ended with {status}");
            return Ok(peak);
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        {
            peak = kib / 1024.0;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// All events that the orders view is posted from.
async fn by_copy(database: &Database, events: i64) -> Result<f64> {
    let client = database.connect("bench rebuild").await?;
    let (began, mut seen) = (Instant::now(), 0);
    for service in ["orders", "payments"] {
        let copy = format!(
            "copy (select * from {service}.event order by partition, log_offset) to stdout (format binary)"
        );
        let mut rows = std::pin::pin!(client.copy_out(&copy).await?);
        while rows.try_next().await?.is_some() {
            seen += 1;
        }
        // The end comes in a message of its own.
        seen -= 1;
    }
    ensure!(seen == events, "{seen} events were copied, not {events}");
    Ok(events as f64 / began.elapsed().as_secs_f64())
}
