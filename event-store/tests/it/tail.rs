//! What the followers of a process are told by its own lanes.

use crate::feeds::{Process, by_kafka};
use crate::kafka::{copied, fill, known, logged, own, to};
use crate::posting::{Posting, all_posted_once, read_side};
use crate::support::{at, eventually, fresh_database, id, open};
use async_trait::async_trait;
use chrono::TimeDelta;
use deadpool_postgres::Transaction;
use event_store::follow::{ApplyError, Feed, FollowLimits, Follower, Runner, is_worked};
use event_store::kafka::RelaySettings;
use event_store::{
    Chain, Database, Entry, EventEntry, Log, Metadata, Recorded, StoredMetadata, event_id,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Keeps every event as it was handed over.
#[derive(Clone, Default)]
struct Keeping(Arc<Mutex<Vec<Recorded>>>);

impl Keeping {
    fn kept(&self) -> Vec<Recorded> {
        let mut kept = self.0.lock().unwrap().clone();
        kept.sort_by_key(|event| (event.partition, event.offset));
        kept
    }
}

#[async_trait]
impl Follower for Keeping {
    fn name(&self) -> &str {
        "keeping"
    }

    fn logs(&self) -> Vec<String> {
        vec!["shop".into()]
    }

    async fn apply(&self, _: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        self.0.lock().unwrap().extend(batch.iter().map(|event| (**event).clone()));
        Ok(())
    }
}

/// A chain of two commands, the first of which has two events.
fn chain(stream: &str, expected: i64, number: u128) -> Chain {
    let event = |command: u128, ordinal: i32| EventEntry {
        event_id: event_id(stream, id(command), ordinal),
        event_type: "till.filled",
        schema_version: 1,
        payload: format!("{{\"amount\": {command},  \"till\":\"\\u00e9\"}}"),
        metadata: StoredMetadata {
            metadata: Metadata {
                correlation: format!("c{command}"),
                causation: (ordinal == 0).then(|| id(command + 1)),
                actor: "tests".into(),
                traceparent: (ordinal == 1).then(|| "00-4bf9-00f0-01".into()),
            },
            fingerprint: Some("print".into()),
        },
        // Postgres keeps microseconds of it, before its year 2000 too.
        occurred_at: at(-1_000_000_000) + TimeDelta::nanoseconds(1_234_567),
    };
    let entry = |command: u128, events: i32| Entry {
        command_id: id(command),
        events: (0..events).map(|ordinal| event(command, ordinal)).collect(),
    };
    let entries = vec![entry(number, 2), entry(number + 1, 1)];
    Chain { stream: stream.into(), expected, entries }
}

async fn run(database: &Database, sql: &str) {
    database.connect("tests").await.unwrap().batch_execute(sql).await.unwrap();
}

/// A follower that has seen what twenty streams have, and cannot read the log from then on.
async fn cut_off(database: &Database, limits: FollowLimits) -> (Log, Keeping, Runner) {
    let (log, read) = (open(database).await, read_side(database).await);
    let keeping = Keeping::default();
    let feed = Feed::limited(log.clone(), &limits);
    let runner = Runner::limited(vec![feed], CancellationToken::new(), limits);
    runner.follow(&(Arc::new(keeping.clone()) as _), 0, &read);
    for partition in 0..log.partitions() {
        eventually("it follows", async || {
            is_worked(&read, "keeping", 0, "shop", partition).await.unwrap()
        })
        .await;
    }
    // After the first append of a lane each follower looks whether the log still holds what it has posted.
    for number in 0..20 {
        log.append(chain(&format!("till-{number}"), 0, number * 2)).await.unwrap();
    }
    eventually("it has seen them", async || keeping.kept().len() == 60).await;
    run(database, "revoke select on shop.event from shop_service").await;
    (log, keeping, runner)
}

#[tokio::test]
async fn followers_are_told_what_the_log_holds_without_reading_it() {
    let database = fresh_database().await;
    let (log, keeping, _runner) = cut_off(&database, FollowLimits::default()).await;
    for number in 0..20 {
        log.append(chain(&format!("till-{number}"), 3, 100 + number * 2)).await.unwrap();
    }
    eventually("it is told", async || keeping.kept().len() == 120).await;
    run(&database, "grant select on shop.event to shop_service").await;
    assert_eq!(keeping.kept(), logged(&log).await.concat());
}

#[tokio::test]
async fn without_the_shortcut_followers_read_the_log() {
    let database = fresh_database().await;
    let (log, keeping, runner) = cut_off(&database, by_kafka()).await;
    log.append(chain("till-1", 3, 100)).await.unwrap();
    eventually("it stands still", async || !runner.stopped().is_empty()).await;
    assert_eq!(keeping.kept().len(), 60);
    run(&database, "grant select on shop.event to shop_service").await;
    eventually("it goes on", async || keeping.kept().len() == 63).await;
    assert_eq!(keeping.kept(), logged(&log).await.concat());
}

#[tokio::test]
async fn what_another_process_appends_between_is_a_hole_that_the_log_fills() {
    let database = fresh_database().await;
    let (log, other, read) =
        (open(&database).await, open(&database).await, read_side(&database).await);
    let runner = Runner::new(vec![Feed::new(log.clone())], CancellationToken::new());
    runner.follow(&(Arc::new(Posting { process: "here" }) as _), 0, &read);
    for round in 0..20 {
        let (a, b) = (round * 20, round * 20 + 10);
        tokio::join!(fill(&log, a..a + 10), fill(&other, b..b + 10));
    }
    all_posted_once(&read, &log).await;
}

#[tokio::test]
async fn while_nobody_else_follows_the_relay_takes_its_time_and_followers_do_not() {
    let database = fresh_database().await;
    let read = read_side(&database).await;
    let topic = own("shop-events");
    let relay = RelaySettings { alone_rest: Duration::from_secs(3_600), ..to(&topic) };
    let (group, limits) = (own("group"), FollowLimits::default());
    let process = Process::relaying("one", &database, relay, &group, known(), limits).await;
    process.until_kafka_brings(|assigned| assigned.len() == 4).await;
    fill(&process.log, 0..1).await;
    let relayed = async || {
        let copied = copied(&topic, &process.log).await.unwrap();
        copied.into_iter().flatten().count()
    };
    eventually("the first is relayed", async || relayed().await == 1).await;
    fill(&process.log, 1..100).await;
    all_posted_once(&read, &process.log).await;
    assert_eq!(relayed().await, 1);
    process.stop().await;
}
