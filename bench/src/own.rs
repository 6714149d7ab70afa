//! A client reads what it has just written: in the process that took the command, and in another one of the same shop.

use crate::bench::Bench;
use crate::load::Latencies;
use crate::process::{Daybook, free_port, program};
use crate::report::{Figure, Unit};
use crate::shop::{SKUS, prepare};
use anyhow::{Context, Result, ensure};
use daybook::embedded::Runtime;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Half of the partitions of each read model are then posted by the second process.
const SETTLES: Duration = Duration::from_secs(10);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let (data, beside) = (bench.servers.folder("own"), bench.servers.folder("own-beside"));
    let (first, _) = Daybook::start(&data, &[]).await?;
    prepare(&first.door()).await?;
    let second = second(&data, &beside).await?;
    tokio::time::sleep(bench.pace.pick(SETTLES, SETTLES / 3)).await;
    let readers = [(&first, "in the process that wrote it"), (&second, "in another process")];
    let mut took = readers.map(|_| [Vec::new(), Vec::new()]);
    let mut received = vec![1_000_000; SKUS];
    for _ in 0..bench.pace.rounds {
        for ((reader, _), rounds) in readers.iter().zip(&mut took) {
            let mut waits = Latencies::new();
            for number in 0..bench.pace.pick(150, 20) {
                let sku = number * 7 % SKUS;
                received[sku] += 1;
                waits.record(once(&first, reader, sku, received[sku]).await?);
            }
            rounds[0].push(waits.quantile_ms(0.5));
            rounds[1].push(waits.quantile_ms(0.99));
        }
    }
    for ((_, whose), [p50s, p99s]) in readers.iter().zip(took) {
        let name = |what: &str| format!("what was just written, read {whose}, {what}");
        bench.section.add(Figure::new(name("p50"), Unit::Ms, p50s));
        bench.section.add(Figure::new(name("p99"), Unit::Ms, p99s).at_most(300.0));
    }
    second.stop().await?;
    first.stop().await
}

/// Another process on the same database and the same Kafka.
async fn second(data: &Path, own: &Path) -> Result<Daybook> {
    let began = Instant::now();
    let (database, brokers) = loop {
        let runtime = Runtime::find(data).context("no running Daybook is announced")?;
        if let (Some(database), Some(brokers)) = (runtime.database_url, runtime.kafka_brokers) {
            break (database, brokers);
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "no Kafka came up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut command = program()?;
    command.args(["serve", "--database-url", &database, "--kafka-brokers", &brokers]);
    let second = Daybook::spawn(command, own, free_port()?)?;
    second.ready().await?;
    Ok(second)
}

/// Writes, and reads it with the position that the answer names; how long the reading took. What is read must have it.
async fn once(writer: &Daybook, reader: &Daybook, sku: usize, on_hand: u64) -> Result<Duration> {
    let path = format!("/v1/stock/SKU{sku}");
    let url = format!("{}{path}/receive", writer.url);
    let written = writer.http.post(url).json(&json!({"quantity": 1})).send().await?;
    let written = written.error_for_status()?;
    let position = written.headers().get("daybook-position").context("no position")?.clone();
    let began = Instant::now();
    let read = reader.http.get(format!("{}{path}", reader.url));
    let read = read.header("daybook-min-position", position).send().await?.error_for_status()?;
    let level: Value = read.json().await?;
    let took = began.elapsed();
    ensure!(level["on_hand"] == on_hand, "{path} is {level}, and had to be {on_hand}");
    Ok(took)
}
