//! Daybook's log: one chain of one command with one event.

use super::{METADATA_SQL, PAYLOAD_SQL, Peer, payload};
use anyhow::{Result, ensure};
use async_trait::async_trait;
use chrono::Utc;
use event_store::{
    Chain, Database, Entry, EventEntry, Log, LogSettings, Metadata, StoredMetadata, Verdict,
    event_id, migrate,
};
use uuid::Uuid;

pub const PARTITIONS: u32 = 8;

pub struct Ours(pub Log);

impl Ours {
    pub async fn open(database: &Database, rows: i64) -> Result<Self> {
        migrate(database, "shop", PARTITIONS).await?;
        fill(database, rows).await?;
        let settings = LogSettings::new("shop", PARTITIONS, database.of_service("shop"));
        Ok(Ours(Log::open(settings).await?))
    }
}

/// Streams of one event each, laid out as appends would have left them.
async fn fill(database: &Database, rows: i64) -> Result<()> {
    let client = database.connect("bench fill").await?;
    client
        .batch_execute(&format!(
            "insert into shop.event select i % {PARTITIONS}, i / {PARTITIONS}, 'order-' || gen_random_uuid(), 1, \
             gen_random_uuid(), gen_random_uuid(), 0, 'order.placed', 1, {PAYLOAD_SQL}::json, {METADATA_SQL}::json, \
             now(), now() from generate_series(0, {rows} - 1) i"
        ))
        .await?;
    Ok(())
}

/// One event, placed by a command of its own.
pub fn event(stream: &str, command_id: Uuid, number: u64) -> EventEntry {
    EventEntry {
        event_id: event_id(stream, command_id, 0),
        event_type: "order.placed",
        schema_version: 1,
        payload: payload(number),
        metadata: StoredMetadata {
            metadata: Metadata {
                correlation: command_id.to_string(),
                actor: "bench".into(),
                ..Metadata::default()
            },
            fingerprint: None,
        },
        occurred_at: Utc::now(),
    }
}

/// Appends one event to a stream at the given version.
pub async fn append(log: &Log, stream: String, expected: i64, number: u64) -> Result<()> {
    let command_id = Uuid::new_v4();
    let events = vec![event(&stream, command_id, number)];
    let chain = Chain { stream, expected, entries: vec![Entry { command_id, events }] };
    let outcome = log.append(chain).await?;
    ensure!(matches!(outcome.verdicts[..], [Verdict::Ok { .. }]), "{outcome:?}");
    Ok(())
}

#[async_trait]
impl Peer for Ours {
    async fn append(&self, _caller: usize, number: u64) -> Result<()> {
        append(&self.0, format!("order-{}", Uuid::now_v7()), 0, number).await
    }
}
