//! From when an append was due until a follower has the event in hand, at a load that leaves the machine idle.

use crate::bench::Bench;
use crate::load::{Rounds, open_loop};
use crate::peers::daybook::{Ours, PARTITIONS, append};
use crate::report::{Figure, Unit};
use anyhow::{Context, Result};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use event_store::follow::{ApplyError, Feed, FollowLimits, Follower, ReadSide, Runner, Transport};
use event_store::kafka::{FeedSettings, KafkaFeeds, KafkaLimits, Relay, RelaySettings};
use event_store::{Database, Recorded};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const PER_SECOND: f64 = 100.0;
/// May be under way at a time.
const CALLERS: usize = 100;
/// Until Kafka has given the partitions out, and until an event must have been seen.
const PATIENCE: Duration = Duration::from_secs(60);
const DATABASE: &str = "bench_seen";

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let database = bench.servers.database(DATABASE).await?;
    let log = Ours::open(&database, 10_000).await?;
    let brokers = bench.servers.kafka().await?.brokers();
    let (mut kafka, mut alone) = (Rounds::default(), Rounds::default());
    for _ in 0..bench.pace.rounds {
        for (brokers, rounds) in [(Some(&brokers), &mut kafka), (None, &mut alone)] {
            let process = Process::start(&log, &database, brokers).await?;
            let (seen, log) = (process.seen.clone(), log.0.clone());
            let one = move |_, number| {
                let (seen, log) = (seen.clone(), log.clone());
                async move {
                    let stream = format!("order-{}", Uuid::now_v7());
                    let sees = seen.wait_for(&stream);
                    append(&log, stream, 0, number).await?;
                    timeout(PATIENCE, sees).await?.context("nobody follows any more")
                }
            };
            let (round, _) = open_loop(CALLERS, PER_SECOND, 2 * bench.pace.round(), one).await?;
            rounds.0.push(round);
            process.stop().await;
        }
    }
    log.0.close().await;
    bench.servers.drop_database(DATABASE).await?;
    let name = "append to seen by a follower, 100/s";
    for (how, rounds, p50, p99) in [
        ("through Kafka", kafka, 8.0, Some(25.0)),
        ("in one process, without Kafka", alone, 4.0, None),
    ] {
        let name = format!("{name}, {how}");
        bench
            .section
            .add(Figure::new(format!("{name}, p50"), Unit::Ms, rounds.p50s()).at_most(p50));
        let tail = Figure::new(format!("{name}, p99"), Unit::Ms, rounds.p99s());
        bench.section.add(match p99 {
            Some(goal) => tail.at_most(goal),
            None => tail,
        });
    }
    Ok(())
}

/// Tells who waits for a stream that its event is there.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>);

impl Seen {
    fn wait_for(&self, stream: &str) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.to_owned(), tell);
        told
    }
}

#[async_trait]
impl Follower for Seen {
    fn name(&self) -> &str {
        "seen"
    }

    fn logs(&self) -> Vec<String> {
        vec!["shop".into()]
    }

    async fn apply(&self, _: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in batch {
            // Nobody waits for those of the round before, nor for one that comes again.
            if let Some(tell) = waiting.remove(&*event.stream) {
                let _ = tell.send(());
            }
        }
        Ok(())
    }
}

/// A follower, and what brings it the events.
struct Process {
    seen: Seen,
    runner: Runner,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Process {
    async fn start(log: &Ours, database: &Database, brokers: Option<&String>) -> Result<Self> {
        let (log, tasks, stop) = (log.0.clone(), TaskTracker::new(), CancellationToken::new());
        // What it appends itself it would be told without Kafka.
        let limits = FollowLimits { shortcut: brokers.is_none(), ..FollowLimits::default() };
        let feed = Feed::limited(log.clone(), &limits);
        let runner = Runner::limited(vec![feed.clone()], stop.clone(), limits);
        let seen = Seen::default();
        let read = ReadSide::open(&database.of_service("shop"), "shop", PARTITIONS as usize)?;
        runner.follow(&(Arc::new(seen.clone()) as Arc<dyn Follower>), 0, &read);
        if let Some(brokers) = brokers {
            let (_known, brokers) = watch::channel(Some(brokers.clone().into()));
            let topic = "bench-seen".to_owned();
            let relay = RelaySettings::new(brokers.clone(), &topic);
            tasks.spawn(Relay::new(log, relay).run(stop.clone()));
            let feeds = KafkaFeeds::new(FeedSettings {
                brokers,
                group: topic.clone(),
                topics: vec![(topic, feed.clone())],
                limits: KafkaLimits::default(),
            });
            tasks.spawn(feeds.run(stop.clone()));
            let all = |brought: &Transport| match brought {
                Transport::Kafka(partitions) => partitions.len() == PARTITIONS as usize,
                Transport::Log => false,
            };
            timeout(PATIENCE, feed.transport().wait_for(all)).await??;
        }
        Ok(Process { seen, runner, tasks, stop })
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.runner.wait().await;
    }
}
