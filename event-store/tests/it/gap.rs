//! An append that has taken its place and does not commit: nobody passes it, whoever reads and however.

use crate::history::{Command, History};
use crate::kafka::{copied, logged, once, own, to};
use crate::posting::{Posting, all_posted_once, read_side};
use crate::support::{at, eventually, fresh_database, id, settings};
use event_store::follow::{Feed, Runner};
use event_store::kafka::{Relay, RelayStatus};
use event_store::{Database, Log, Metadata, Verdict, event_id};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_postgres::Transaction;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const HELD: &str = "till-held";

/// With a lane for each partition, so that one that waits holds up no other.
async fn process(database: &Database) -> Log {
    let mut settings = settings(database);
    settings.lanes = 4;
    settings.few = 0;
    Log::open(settings).await.unwrap()
}

/// Calls the append function in a transaction that goes on; returns the place that was taken.
async fn take_a_place(transaction: &Transaction<'_>, log: &Log) -> i64 {
    let (partition, command) = (log.partition_of(HELD), id(1));
    let event = event_id(HELD, command, 0);
    let metadata = serde_json::to_string(&Metadata::default()).unwrap();
    let append = format!(
        "select bases[1] from shop.append(array[{partition}], array[1], array['{HELD}'], \
         array[0::bigint], array['{command}'::uuid], array[1], null, null, null, null, null, null, \
         array[0::bigint], array['{event}'::uuid], array['till.filled'], array[1], \
         array['{{\"amount\": 1}}'::json], array['{metadata}'::json], array[$1::timestamptz])"
    );
    transaction.query_one(&append, &[&at(0)]).await.unwrap().get(0)
}

/// The streams of one partition that begin here.
fn streams_of(log: &Log, partition: i32) -> impl Iterator<Item = String> {
    let names = (0..).map(|number| format!("till-{number}"));
    names.filter(move |stream| log.partition_of(stream) == partition)
}

/// Starts one stream with one event.
async fn start(history: &History, log: &Log, stream: &str, command: u128) -> Verdict {
    let commands: Vec<Command> = vec![(id(command), 1)];
    let ask = (0, commands);
    let verdicts = history.append(log, stream, ask, std::future::pending()).await;
    verdicts.expect("an answer").remove(0)
}

/// What reads the log all the time and for ever: a follower, the relay, and somebody who keeps notes.
struct Readers {
    log: Log,
    read: event_store::follow::ReadSide,
    runner: Runner,
    topic: String,
    relay: watch::Receiver<RelayStatus>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Readers {
    async fn start(database: &Database) -> Self {
        let (log, read) = (process(database).await, read_side(database).await);
        let (stop, tasks, topic) =
            (CancellationToken::new(), TaskTracker::new(), own("shop-events"));
        let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
        runner.follow(&(Arc::new(Posting { process: "here" }) as _), 0, &read);
        let relay = Relay::new(log.clone(), to(&topic));
        let status = relay.status();
        tasks.spawn(relay.run(stop.clone()));
        Readers { log, read, runner, topic, relay: status, tasks, stop }
    }

    /// Until all that can be seen of the log was posted once and is in Kafka once, and no more.
    async fn are_level(&self) {
        all_posted_once(&self.read, &self.log).await;
        let heads = self.log.heads().await.unwrap();
        let relayed = async || {
            let status = self.relay.borrow();
            status.partitions.iter().map(|partition| partition.relayed).eq(heads.iter().copied())
        };
        eventually("the relay is level", relayed).await;
        let copied = copied(&self.topic, &self.log).await.unwrap();
        assert_eq!(once(copied), logged(&self.log).await);
    }

    async fn stop(self) {
        self.stop.cancel();
        self.runner.wait().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Reads all partitions and the streams of one, again and again, and notes what was there.
async fn look(history: &History, log: &Log, until: &AtomicBool) {
    while !until.load(Ordering::SeqCst) {
        for partition in 0..log.partitions() {
            history.read_partition(log, partition, 0).await.unwrap();
        }
        for stream in streams_of(log, log.partition_of(HELD)).take(2).chain([HELD.to_owned()]) {
            history.read_stream(log, &stream).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Until the appends of both processes wait in Postgres for the partition.
async fn both_wait(database: &Database) {
    let admin = database.connect("tests").await.unwrap();
    let sql = "select count(*) = 2 from pg_stat_activity where datname = current_database() \
         and application_name like 'daybook lane%' and wait_event_type = 'Lock'";
    let waiting = async || admin.query_one(sql, &[]).await.unwrap().get(0);
    eventually("both processes wait for the partition", waiting).await;
}

async fn nobody_passes_until_it_is(committed: bool) {
    let database = fresh_database().await;
    let logs = [process(&database).await, process(&database).await];
    let readers = Readers::start(&database).await;
    let (history, done) = (History::default(), AtomicBool::new(false));
    let held = logs[0].partition_of(HELD);
    let other = (0..4).filter(|partition| *partition != held);
    let other: Vec<String> = other.flat_map(|p| streams_of(&logs[0], p).take(6)).collect();
    let same: Vec<String> = streams_of(&logs[0], held).take(6).collect();
    let test = async {
        for (stream, command) in same[..2].iter().zip(10..) {
            start(&history, &logs[0], stream, command).await;
        }
        let mut holder = database.connect("tests").await.unwrap();
        let transaction = holder.transaction().await.unwrap();
        history.asked_elsewhere(HELD, (0, vec![(id(1), 1)]));
        let place = take_a_place(&transaction, &logs[0]).await;
        assert_eq!(place, 2);

        let behind = same[2..].iter().zip(20..).zip(logs.iter().cycle());
        let behind = behind.map(|((stream, command), log)| start(&history, log, stream, command));
        let behind = futures_util::future::join_all(behind);
        let meanwhile = async {
            both_wait(&database).await;
            for ((stream, command), log) in other.iter().zip(40..).zip(logs.iter().cycle()) {
                let passed = start(&history, log, stream, command).await;
                assert!(matches!(passed, Verdict::Ok { .. }), "{stream}: {passed:?}");
            }
            // Others have come so far that whoever could pass would have passed.
            readers.are_level().await;
            let heads = logs[1].heads().await.unwrap();
            let all: i64 = heads.iter().sum();
            assert_eq!((heads[usize::try_from(held).unwrap()], all), (place, 2 + 18));
            if committed {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
        };
        let (behind, ()) = tokio::join!(behind, meanwhile);
        let next = place + i64::from(committed);
        let mut offsets: Vec<i64> = Vec::new();
        for verdict in behind {
            let Verdict::Ok { offset, .. } = verdict else { panic!("{verdict:?}") };
            offsets.push(offset);
        }
        offsets.sort_unstable();
        assert!(offsets.iter().copied().eq(next..next + 4), "{offsets:?}");
        readers.are_level().await;
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(test, look(&history, &logs[1], &done));
    let found = logs[0].read_stream(HELD, 0, 10).await.unwrap();
    assert_eq!(found.len(), usize::from(committed));
    readers.stop().await;
    history.check(&logs[0]).await.unwrap();
}

#[tokio::test]
async fn nobody_passes_an_append_that_has_its_place_until_it_commits() {
    nobody_passes_until_it_is(true).await;
}

#[tokio::test]
async fn nobody_passes_an_append_that_has_its_place_until_it_is_rolled_back() {
    nobody_passes_until_it_is(false).await;
}
