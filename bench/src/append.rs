//! Single-event appends on fresh streams: the log beside one insert per event over a pool of 16.

use crate::figures::{Latencies, Round, median_of};
use crate::servers::Servers;
use anyhow::Result;
use chrono::Utc;
use event_store::{
    Chain, Database, Entry, EventEntry, Log, LogSettings, Metadata, StoredMetadata, Verdict,
    event_id, migrate,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

const ROUNDS: usize = 3;
const POOL: usize = 16;

pub async fn run(servers: &Servers, seconds: u64) -> Result<()> {
    let database = servers.database("bench_append").await?;
    migrate(&database, "shop", 8).await?;
    let log = Log::open(LogSettings::new("shop", 8, database.of_service("shop"))).await?;
    let insert = Insert::open(&database).await?;
    for callers in [1, 64] {
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for _ in 0..ROUNDS {
            let time = Duration::from_secs(seconds);
            let log = log.clone();
            ours.push(closed_loop(callers, time, move |n| append(log.clone(), n)).await?);
            let insert = insert.clone();
            theirs.push(closed_loop(callers, time, move |n| insert.clone().one(n)).await?);
        }
        let (ours, theirs) = (median_of(ours), median_of(theirs));
        println!("append, {callers} callers          {ours}");
        println!("  one insert each, pool of {POOL}  {theirs}");
        println!("  ratio                       {:.2}", ours.rate / theirs.rate);
    }
    let stored: i64 = log.heads().await?.iter().sum();
    println!("  events in the log, counted  {stored}");
    log.close().await;
    Ok(())
}

/// `callers` callers, each sends the next when the last is answered.
async fn closed_loop<F, R>(callers: usize, time: Duration, one: F) -> Result<Round>
where
    F: Fn(u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let warm = Instant::now() + Duration::from_secs(1);
    let end = warm + time;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let one = one.clone();
        tasks.spawn(async move {
            let mut latencies = Latencies::new();
            while Instant::now() < end {
                let began = Instant::now();
                one(NUMBER.fetch_add(1, Ordering::Relaxed)).await?;
                if began >= warm {
                    latencies.record(began.elapsed());
                }
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    let mut all = Latencies::new();
    while let Some(ended) = tasks.join_next().await {
        all.add(&ended??);
    }
    Ok(all.over(time))
}

/// 200 bytes of JSON.
fn payload(number: u64) -> String {
    format!(r#"{{"order":"{number:036}","note":"{}"}}"#, "x".repeat(140))
}

async fn append(log: Log, number: u64) -> Result<()> {
    let stream = format!("order-{}", Uuid::now_v7());
    let command_id = Uuid::new_v4();
    let event = EventEntry {
        event_id: event_id(&stream, command_id, 0),
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
    };
    let chain =
        Chain { stream, expected: 0, entries: vec![Entry { command_id, events: vec![event] }] };
    let outcome = log.append(chain).await?;
    anyhow::ensure!(matches!(outcome.verdicts[..], [Verdict::Ok { .. }]), "{outcome:?}");
    Ok(())
}

/// The usual table and the usual statement.
#[derive(Clone)]
struct Insert(Arc<deadpool_postgres::Pool>);

impl Insert {
    async fn open(database: &Database) -> Result<Self> {
        let pool = database.pool("bench insert", POOL)?;
        let client = pool.get().await?;
        client
            .batch_execute(
                "create table plain (id bigserial primary key, stream text not null, version bigint not null, \
                 event_id uuid not null, type text not null, payload json not null, metadata json not null, \
                 occurred_at timestamptz not null, recorded_at timestamptz not null default clock_timestamp(), \
                 unique (stream, version))",
            )
            .await?;
        Ok(Insert(Arc::new(pool)))
    }

    async fn one(self, number: u64) -> Result<()> {
        let client = self.0.get().await?;
        let insert = client
            .prepare_cached(
                "insert into plain (stream, version, event_id, type, payload, metadata, occurred_at) \
                 values ($1, 1, $2, 'order.placed', $3::text::json, $4::text::json, $5)",
            )
            .await?;
        let stream = format!("order-{}", Uuid::now_v7());
        let metadata = format!(r#"{{"correlation":"{}","actor":"bench"}}"#, Uuid::new_v4());
        client
            .execute(&insert, &[&stream, &Uuid::new_v4(), &payload(number), &metadata, &Utc::now()])
            .await?;
        Ok(())
    }
}
