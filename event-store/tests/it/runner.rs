use crate::kafka::fill;
use crate::posting::{Posting, all_posted_once, postings, read_side};
use crate::support::{eventually, fresh_database, lose_the_tail, open};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use event_store::follow::{ApplyError, Feed, FollowLimits, Follower, Runner, Transport};
use event_store::{Pace, PaceLimits, Position, Recorded};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn posting(process: &'static str) -> Arc<dyn Follower> {
    Arc::new(Posting { process })
}

#[tokio::test]
async fn without_kafka_a_follower_is_woken_by_the_lanes_of_its_process() {
    let database = fresh_database().await;
    let (log, read) = (open(&database).await, read_side(&database).await);
    let stop = CancellationToken::new();
    let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
    fill(&log, 0..100).await;
    runner.follow(&posting("here"), 0, &read);
    fill(&log, 100..300).await;
    all_posted_once(&read, &log).await;
    fill(&log, 300..301).await;
    all_posted_once(&read, &log).await;
    stop.cancel();
    runner.wait().await;
}

#[tokio::test]
async fn without_kafka_what_other_processes_append_is_found_by_the_poll() {
    let database = fresh_database().await;
    let (log, elsewhere) = (open(&database).await, open(&database).await);
    let read = read_side(&database).await;
    let stop = CancellationToken::new();
    let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
    runner.follow(&posting("here"), 0, &read);
    for round in 0..3 {
        fill(&elsewhere, round * 100..round * 100 + 50).await;
        all_posted_once(&read, &elsewhere).await;
    }
    stop.cancel();
    runner.wait().await;
}

#[tokio::test]
async fn without_kafka_two_processes_post_each_event_once_and_one_takes_over() {
    let database = fresh_database().await;
    let read = read_side(&database).await;
    let log = open(&database).await;
    let process = async |name| {
        let log = open(&database).await;
        let stop = CancellationToken::new();
        let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
        runner.follow(&posting(name), 0, &read_side(&database).await);
        (runner, stop)
    };
    let (one, stop_one) = process("one").await;
    fill(&log, 0..100).await;
    all_posted_once(&read, &log).await;
    let (two, stop_two) = process("two").await;
    fill(&log, 100..200).await;
    all_posted_once(&read, &log).await;
    assert!(postings(&read).await.iter().all(|(_, _, process)| process == "one"));
    stop_one.cancel();
    one.wait().await;
    fill(&log, 200..300).await;
    all_posted_once(&read, &log).await;
    assert!(postings(&read).await.iter().any(|(_, _, process)| process == "two"));
    stop_two.cancel();
    two.wait().await;
}

#[tokio::test]
async fn a_partition_that_kafka_gave_to_nobody_is_worked_until_its_owner_comes() {
    let database = fresh_database().await;
    let (log, read) = (open(&database).await, read_side(&database).await);
    let process = async |name, assigned: &[i32]| {
        let feed = Feed::new(open(&database).await);
        feed.set_transport(Transport::Kafka(assigned.iter().copied().collect()));
        let stop = CancellationToken::new();
        let runner = Runner::new(vec![feed.clone()], stop.clone());
        runner.follow(&posting(name), 0, &read_side(&database).await);
        (feed, runner, stop)
    };
    let (_, one, stop_one) = process("one", &[0]).await;
    fill(&log, 0..100).await;
    all_posted_once(&read, &log).await;
    let (_, two, stop_two) = process("two", &[1, 2, 3]).await;
    let mut round = 1;
    eventually("each process posts what it was given", async || {
        fill(&log, round * 100..round * 100 + 20).await;
        round += 1;
        all_posted_once(&read, &log).await;
        let mut last = BTreeMap::new();
        for (partition, _, process) in postings(&read).await {
            last.insert(partition, process);
        }
        last.values().map(String::as_str).eq(["one", "two", "two", "two"])
    })
    .await;
    for (runner, stop) in [(one, stop_one), (two, stop_two)] {
        stop.cancel();
        runner.wait().await;
    }
}

#[tokio::test]
async fn a_follower_stops_where_the_log_has_lost_what_it_posted() {
    let database = fresh_database().await;
    let (log, read) = (open(&database).await, read_side(&database).await);
    let stop = CancellationToken::new();
    let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
    fill(&log, 0..100).await;
    runner.follow(&posting("here"), 0, &read);
    all_posted_once(&read, &log).await;
    let lost = postings(&read).await.len();
    lose_the_tail(&database).await;
    fill(&log, 100..200).await;
    eventually("every partition stands still", || async { runner.stopped().len() == 4 }).await;
    assert!(runner.stopped()[0].why.contains("lost its tail"), "{:?}", runner.stopped());
    assert_eq!(postings(&read).await.len(), lost);
    stop.cancel();
    runner.wait().await;
}

#[tokio::test]
async fn a_follower_that_hangs_is_seen_to_from_the_outside() {
    let database = fresh_database().await;
    let (log, read) = (open(&database).await, read_side(&database).await);
    let stop = CancellationToken::new();
    let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
    runner.follow(&posting("here"), 0, &read);
    fill(&log, 0..100).await;
    all_posted_once(&read, &log).await;
    eventually("nothing is left", async || runner.progress()[0].behind == 0).await;
    let mut client = database.connect("tests").await.unwrap();
    let held = client.transaction().await.unwrap();
    held.batch_execute("lock table shop_read.posting in access exclusive mode").await.unwrap();
    fill(&log, 100..110).await;
    let second = Duration::from_secs(1);
    eventually("it stands still", async || {
        let progress = runner.progress().remove(0);
        progress.name == "posting/shop" && progress.behind == 10 && progress.still > second
    })
    .await;
    held.rollback().await.unwrap();
    all_posted_once(&read, &log).await;
    eventually("it moves again", async || runner.progress()[0].still < second).await;
    stop.cancel();
    runner.wait().await;
}

#[tokio::test]
async fn what_stands_back_for_callers_who_never_stop_is_posted_all_the_same() {
    let database = fresh_database().await;
    let (log, read) = (open(&database).await, read_side(&database).await);
    let stop = CancellationToken::new();
    // Beside such a crowd it rests after each step, by a clock for which every event is fresh.
    let crowd = Arc::new(AtomicUsize::new(1_000));
    let pace = Pace::new(|| chrono::DateTime::UNIX_EPOCH, crowd, PaceLimits::default());
    let limits = FollowLimits { pace, ..FollowLimits::default() };
    let runner = Runner::limited(vec![Feed::new(log.clone())], stop.clone(), limits);
    runner.follow(&posting("here"), 0, &read);
    for round in 0..5 {
        fill(&log, round * 100..round * 100 + 50).await;
        all_posted_once(&read, &log).await;
    }
    stop.cancel();
    runner.wait().await;
}

/// It rests for an hour after each step, and counts them.
struct Leisurely {
    posting: Posting,
    steps: Arc<AtomicUsize>,
}

#[async_trait]
impl Follower for Leisurely {
    fn name(&self) -> &str {
        self.posting.name()
    }

    fn logs(&self) -> Vec<String> {
        self.posting.logs()
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    fn committed(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        self.posting.apply(tx, batch).await
    }
}

#[tokio::test]
async fn a_rest_ends_for_those_who_wait_and_one_step_serves_them_all() {
    let database = fresh_database().await;
    let (log, read) = (open(&database).await, read_side(&database).await);
    let stop = CancellationToken::new();
    let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
    let steps = Arc::new(AtomicUsize::new(0));
    let follower: Arc<dyn Follower> =
        Arc::new(Leisurely { posting: Posting { process: "here" }, steps: steps.clone() });
    fill(&log, 0..20).await;
    runner.follow(&follower, 0, &read);
    all_posted_once(&read, &log).await;
    let waits = async |position: Position| {
        let mut moved = runner.moved();
        while runner.has_posted("posting", 0, &position) != Some(true) {
            runner.hurry("posting", 0, &position);
            moved.changed().await.unwrap();
        }
    };
    for round in 1..=3 {
        fill(&log, round * 20..round * 20 + 20).await;
        // Of each partition the last event is waited for, and some before it.
        let heads = (0..).zip(log.heads().await.unwrap());
        let positions = heads.flat_map(|(partition, head)| {
            let service = "shop".to_owned();
            let at = move |back| Position {
                service: service.clone(),
                partition,
                epoch: 1,
                offset: head - back,
            };
            (1..=3).map(at)
        });
        let all = join_all(positions.map(&waits));
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("they are served");
        all_posted_once(&read, &log).await;
        let expected = 1 + usize::try_from(round).unwrap();
        assert_eq!(steps.load(Ordering::Relaxed), expected);
    }
    stop.cancel();
    runner.wait().await;
}
