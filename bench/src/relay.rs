//! From the log to the real Kafka, beside Kafka's own load generator.

mod producer;

use crate::bench::Bench;
use crate::fill;
use crate::peers::Ours;
use crate::report::{Figure, Unit};
use anyhow::{Result, ensure};
use event_store::Log;
use event_store::kafka::{Relay, RelaySettings, RelayStatus};
use producer::ProducerPerformance;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Until something must have moved.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let events = bench.pace.pick(1_000_000, 100_000);
    let database = bench.servers.database("relay").await?;
    let log = Ours::open(&database, 0).await?.0;
    fill::copy(&database, events).await?;
    log.refresh_heads().await?;
    let brokers = bench.servers.kafka().await?.brokers();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..bench.pace.rounds {
        let topic = format!("bench-relay-{round}");
        ours.push(relayed(&log, &brokers, &topic, i64::try_from(events)?).await?);
        verify(&brokers, &topic, events).await?;
        let producer = ProducerPerformance::with_records_of(&brokers, &topic).await?;
        theirs.push(producer.run(&brokers, &topic, events).await?);
        verify(&brokers, &topic, 2 * events).await?;
    }
    log.close().await;
    bench.servers.drop_database("relay").await?;
    let ratio = Figure::ratio("relay / ProducerPerformance", &ours, &theirs).at_least(0.5);
    let ours = Figure::new("relay, log to Kafka", Unit::PerSecond, ours).at_least(150_000.0);
    bench.section.add(ours);
    let name = "Kafka's ProducerPerformance, records of the same bytes";
    bench.section.add(Figure::new(name, Unit::PerSecond, theirs));
    bench.section.add(ratio);
    Ok(())
}

async fn verify(brokers: &str, topic: &str, expected: u64) -> Result<()> {
    let records = producer::records_in(brokers, topic).await?;
    ensure!(records == expected, "{records} records in {topic}, not {expected}");
    Ok(())
}

/// Events/s, until the last one is acknowledged.
async fn relayed(log: &Log, brokers: &str, topic: &str, events: i64) -> Result<f64> {
    let (_known, brokers) = watch::channel(Some(brokers.to_owned().into()));
    let relay = Relay::new(log.clone(), RelaySettings::new(brokers, topic));
    let mut status = relay.status();
    let stop = CancellationToken::new();
    let running = tokio::spawn(relay.run(stop.clone()));
    // From the first event under way: the topic is there, and the producer is connected.
    let (began, before) = loop {
        let done = relayed_of(&status.borrow_and_update());
        if done > 0 {
            break (Instant::now(), done);
        }
        timeout(PATIENCE, status.changed()).await??;
    };
    while relayed_of(&status.borrow_and_update()) < events {
        timeout(PATIENCE, status.changed()).await??;
    }
    let rate = (events - before) as f64 / began.elapsed().as_secs_f64();
    stop.cancel();
    running.await?;
    ensure!(before < events, "the first look came after the last event: there are too few");
    Ok(rate)
}

fn relayed_of(status: &RelayStatus) -> i64 {
    status.partitions.iter().map(|partition| partition.relayed).sum()
}
