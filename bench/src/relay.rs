//! From the log to the real Kafka.

use crate::servers::Servers;
use anyhow::{Context, Result};
use event_store::kafka::{Relay, RelaySettings};
use event_store::{Database, Log, LogSettings, migrate};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const EVENTS: i64 = 400_000;
const ROUNDS: usize = 3;

/// Rows as an append would have left them: 255 bytes of payload, 8 partitions.
pub async fn fill(database: &Database, service: &str, events: i64) -> Result<()> {
    let client = database.connect("bench fill").await?;
    client
        .batch_execute(&format!(
            "insert into {service}.event \
             select i % 8, i / 8, 'order-' || gen_random_uuid(), 1, gen_random_uuid(), gen_random_uuid(), 0, \
                    'order.placed', 1, json_build_object('note', repeat('x', 240)), \
                    '{{\"correlation\":\"bench\",\"actor\":\"bench\"}}', now(), now() \
               from generate_series(0, {events} - 1) i; analyze {service}.event"
        ))
        .await?;
    Ok(())
}

pub async fn run(servers: &Servers) -> Result<()> {
    let database = servers.database("bench_relay").await?;
    migrate(&database, "shop", 8).await?;
    fill(&database, "shop", EVENTS).await?;
    let brokers = servers.kafka.as_ref().context("the relay's bench needs Kafka")?.brokers();
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let log = Log::open(LogSettings::new("shop", 8, database.of_service("shop"))).await?;
        let (_known, brokers) = tokio::sync::watch::channel(Some(brokers.clone()));
        let relay = Relay::new(log.clone(), RelaySettings::new(brokers, &format!("bench-{round}")));
        let mut status = relay.status();
        let stop = CancellationToken::new();
        let running = tokio::spawn(relay.run(stop.clone()));
        let done = |s: &event_store::kafka::RelayStatus| {
            s.partitions.iter().map(|p| p.relayed).sum::<i64>()
        };
        // From the first event under way: the topic is there, and the producer is connected.
        let began = loop {
            if done(&status.borrow_and_update()) > 0 {
                break (Instant::now(), done(&status.borrow()));
            }
            tokio::time::timeout(Duration::from_secs(60), status.changed()).await??;
        };
        while done(&status.borrow_and_update()) < EVENTS {
            tokio::time::timeout(Duration::from_secs(60), status.changed()).await??;
        }
        rates.push((EVENTS - began.1) as f64 / began.0.elapsed().as_secs_f64());
        stop.cancel();
        running.await?;
        log.close().await;
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "relay, log to Kafka         {:>9.0}/s   ({:.0} to {:.0})",
        rates[ROUNDS / 2],
        rates[0],
        rates[ROUNDS - 1]
    );
    Ok(())
}
