//! Kafka's own `ProducerPerformance`, with the relay's settings and with records of the same bytes: key, headers
//! and value of what the relay has just produced, for it makes no headers itself.

use crate::peers::daybook::PARTITIONS;
use crate::servers::Servers;
use anyhow::{Context, Result, ensure};
use event_store::kafka::KafkaLimits;
use std::path::Path;
use tempfile::NamedTempFile;
use tokio::process::Command;

/// Where `scripts/setup bench` puts them.
const JARS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/kafka-tools/libs");

/// As the relay's producer has them.
fn settings() -> [String; 6] {
    let KafkaLimits { batch_bytes, queue_bytes, .. } = KafkaLimits::default();
    [
        "acks=all".to_owned(),
        "enable.idempotence=true".to_owned(),
        "compression.type=lz4".to_owned(),
        "linger.ms=0".to_owned(),
        format!("batch.size={batch_bytes}"),
        format!("buffer.memory={queue_bytes}"),
    ]
}

const RECORDS: &str = "1000";

pub struct ProducerPerformance(NamedTempFile);

impl ProducerPerformance {
    /// Takes its payloads from the topic.
    pub async fn with_records_of(brokers: &str, topic: &str) -> Result<Self> {
        ensure!(Path::new(JARS).is_dir(), "{JARS} is missing: scripts/setup bench");
        let output = Command::new("kcat")
            .args(["-C", "-q", "-b", brokers, "-t", topic, "-o", "beginning", "-c", RECORDS])
            .args(["-f", "%k %h %s\n"])
            .output()
            .await
            .context("kcat")?;
        let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        ensure!(lines.to_string() == RECORDS, "kcat read {lines} records of {topic}");
        let payloads = NamedTempFile::new()?;
        std::fs::write(payloads.path(), output.stdout)?;
        Ok(ProducerPerformance(payloads))
    }

    /// Records/s.
    pub async fn run(&self, brokers: &str, topic: &str, records: u64) -> Result<f64> {
        let output = Command::new(Servers::java()?.program)
            .args(["-Xmx512m", "-cp", &format!("{JARS}/*")])
            .arg("org.apache.kafka.tools.ProducerPerformance")
            .args(["--topic", topic, "--throughput", "-1", "--num-records", &records.to_string()])
            .arg("--payload-file")
            .arg(self.0.path())
            .args(["--producer-props", &format!("bootstrap.servers={brokers}")])
            .args(settings())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout);
        // `1000000 records sent, 254323.5 records/sec (…)`
        let rate = said.lines().rev().find_map(|line| {
            let (sent, rest) = line.split_once(" records sent, ")?;
            let rate = rest.split(' ').next()?.parse().ok()?;
            (sent == records.to_string()).then_some(rate)
        });
        rate.with_context(|| format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// By the ends of its partitions: nothing is deleted, and there are no transactions.
pub async fn records_in(brokers: &str, topic: &str) -> Result<u64> {
    let mut query = Command::new("kcat");
    query.args(["-Q", "-b", brokers]);
    for partition in 0..PARTITIONS {
        query.args(["-t", &format!("{topic}:{partition}:-1")]);
    }
    let output = query.output().await.context("kcat")?;
    let said = String::from_utf8_lossy(&output.stdout);
    // `topic [0] offset 125000`
    let ends = said.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok());
    let ends: Vec<u64> = ends.collect();
    ensure!(ends.len() == PARTITIONS as usize, "kcat said: {said}");
    Ok(ends.iter().sum())
}
