//! What a follower cannot post holds up its stream and nothing else, and is lost by nobody.

use crate::kafka::fill;
use crate::posting::{Posting, all_posted_once, postings, read_side};
use crate::support::{eventually, fresh_database, open};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use event_store::follow::{
    ApplyError, Feed, FollowLimits, Follower, Parked, ReadSide, Runner, Which, discard, parked,
    retry,
};
use event_store::{Log, Recorded};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Posts like the others, but for the places that it chokes on.
struct Choking {
    on: Mutex<BTreeSet<(i32, i64)>>,
    /// What it was given, in order, what failed included.
    given: Mutex<Vec<(i32, i64)>>,
    /// How often it was given something.
    calls: AtomicUsize,
    how: fn() -> ApplyError,
}

impl Choking {
    fn on(on: BTreeSet<(i32, i64)>, how: fn() -> ApplyError) -> Arc<Self> {
        let (given, calls) = Default::default();
        Arc::new(Choking { on: Mutex::new(on), given, calls, how })
    }
}

#[async_trait]
impl Follower for Choking {
    fn name(&self) -> &str {
        "posting"
    }

    fn logs(&self) -> Vec<String> {
        vec!["shop".into()]
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        Posting { process: "here" }.apply(tx, batch).await?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.given.lock().unwrap().extend(batch.iter().map(|it| (it.partition, it.offset)));
        let on = self.on.lock().unwrap().clone();
        let chokes = batch.iter().any(|event| on.contains(&(event.partition, event.offset)));
        if chokes { Err((self.how)()) } else { Ok(()) }
    }
}

struct Shop {
    log: Log,
    read: ReadSide,
    choking: Arc<Choking>,
    runner: Runner,
    stop: CancellationToken,
}

impl Shop {
    /// A log of a hundred events, and a follower that chokes on the sixth of the third partition.
    async fn open(how: fn() -> ApplyError, limits: FollowLimits) -> Self {
        Self::of(100, how, limits).await
    }

    async fn of(events: u128, how: fn() -> ApplyError, limits: FollowLimits) -> Self {
        let database = fresh_database().await;
        let (log, read) = (open(&database).await, read_side(&database).await);
        fill(&log, 0..events).await;
        let choking = Choking::on([(2, 5)].into(), how);
        let (runner, stop) = run(&log, &choking, &read, limits);
        Shop { log, read, choking, runner, stop }
    }

    async fn poisoned() -> Self {
        Self::open(|| ApplyError::Poison("as told".into()), FollowLimits::default()).await
    }

    async fn again(mut self) -> Self {
        self.stop.cancel();
        self.runner.wait().await;
        (self.runner, self.stop) =
            run(&self.log, &self.choking, &self.read, FollowLimits::default());
        self
    }

    /// The events behind the sixth of the third partition in its stream, and itself.
    async fn held_up(&self) -> Vec<(i32, i64)> {
        let log = self.log.read_partition(2, 0, 10_000).await.unwrap();
        let stream = log[5].stream.clone();
        let of = log.iter().skip(5).filter(|event| event.stream == stream);
        of.map(|event| (2, event.offset)).collect()
    }

    /// Waits until everything is posted but what is behind the poisoned event in its stream.
    async fn all_else_is_posted(&self) {
        let held_up = self.held_up().await;
        let mut expected = Vec::new();
        for (partition, head) in (0..).zip(self.log.heads().await.unwrap()) {
            let offsets = (0..head).map(|offset| (partition, offset));
            expected.extend(offsets.filter(|at| !held_up.contains(at)));
        }
        eventually("all else is posted", || async { posted(&self.read).await == expected }).await;
    }

    async fn parked(&self) -> Vec<Parked> {
        parked(&self.read, 100).await.unwrap()
    }

    async fn close(self) {
        self.stop.cancel();
        self.runner.wait().await;
    }
}

fn run(
    log: &Log,
    choking: &Arc<Choking>,
    read: &ReadSide,
    limits: FollowLimits,
) -> (Runner, CancellationToken) {
    let stop = CancellationToken::new();
    let runner = Runner::limited(vec![Feed::new(log.clone())], stop.clone(), limits);
    runner.follow(&(choking.clone() as Arc<dyn Follower>), 0, read);
    (runner, stop)
}

async fn posted(read: &ReadSide) -> Vec<(i32, i64)> {
    postings(read).await.into_iter().map(|(partition, offset, _)| (partition, offset)).collect()
}

#[tokio::test]
async fn a_poisonous_event_is_parked_with_what_follows_in_its_stream_and_all_else_flows_on() {
    for how in [|| ApplyError::Poison("as told".into()), || panic!("as told")] {
        let shop = Shop::open(how, FollowLimits::default()).await;
        shop.all_else_is_posted().await;
        fill(&shop.log, 100..200).await;
        shop.all_else_is_posted().await;
        assert!(shop.runner.stopped().is_empty(), "{:?}", shop.runner.stopped());
        let [parked] = &*shop.parked().await else { panic!("{:?}", shop.parked().await) };
        assert_eq!((parked.position.partition, parked.position.offset), (2, 5));
        assert_eq!(1 + parked.behind, i64::try_from(shop.held_up().await.len()).unwrap());
        assert!(parked.reason.contains("as told"), "{parked:?}");

        let shop = shop.again().await;
        fill(&shop.log, 200..300).await;
        shop.all_else_is_posted().await;
        assert_eq!(shop.parked().await.len(), 1);
        shop.close().await;
    }
}

#[tokio::test]
async fn a_poisonous_event_in_a_batch_of_500_costs_its_stream_and_few_tries() {
    let poison = || ApplyError::Poison("as told".into());
    let shop = Shop::of(3_000, poison, FollowLimits::default()).await;
    assert!(shop.log.heads().await.unwrap()[2] > 500);
    shop.all_else_is_posted().await;
    assert_eq!(shop.parked().await.len(), 1);
    // One by one it would take five hundred.
    let calls = shop.choking.calls.load(Ordering::Relaxed);
    assert!(calls < 100, "{calls}");
    shop.close().await;
}

#[tokio::test]
async fn what_is_parked_is_posted_in_order_when_it_is_mended_and_tried_again() {
    let shop = Shop::poisoned().await;
    shop.all_else_is_posted().await;
    assert_eq!(retry(&shop.read, &Which::Of("posting".into())).await.unwrap(), 1);
    eventually("it fails again", async || {
        let parked = shop.parked().await;
        parked[0].tries == 2 && parked[0].asked.is_none()
    })
    .await;
    shop.all_else_is_posted().await;

    shop.choking.on.lock().unwrap().clear();
    fill(&shop.log, 100..200).await;
    shop.all_else_is_posted().await;
    assert_eq!(retry(&shop.read, &Which::All).await.unwrap(), 1);
    fill(&shop.log, 200..300).await;
    all_posted_once(&shop.read, &shop.log).await;
    assert!(shop.parked().await.is_empty());
    let given = shop.choking.given.lock().unwrap().clone();
    let held_up = shop.held_up().await;
    let last = held_up.iter().map(|at| given.iter().rposition(|given| given == at).unwrap());
    assert!(last.is_sorted(), "in order: {given:?}");
    fill(&shop.log, 300..400).await;
    all_posted_once(&shop.read, &shop.log).await;
    shop.close().await;
}

#[tokio::test]
async fn what_is_discarded_is_left_out_on_the_record_and_what_followed_is_posted() {
    let shop = Shop::poisoned().await;
    fill(&shop.log, 100..300).await;
    shop.all_else_is_posted().await;
    // One of those behind it turns out to be no better.
    let next = shop.held_up().await[2];
    *shop.choking.on.lock().unwrap() = [(2, 5), next].into();
    let first = shop.parked().await.remove(0);
    let (follower, at) = (&*first.follower, &first.position);
    assert!(discard(&shop.read, follower, at, "an operator", "a test").await.unwrap());
    eventually("the next one is the culprit now", async || {
        let parked = shop.parked().await;
        parked.len() == 1 && (parked[0].position.partition, parked[0].position.offset) == next
    })
    .await;
    let second = shop.parked().await.remove(0);
    assert!(!discard(&shop.read, follower, at, "an operator", "a test").await.unwrap());
    assert!(discard(&shop.read, follower, &second.position, "another", "a test").await.unwrap());
    let left_out = [(2, 5), next];
    let mut expected = Vec::new();
    for (partition, head) in (0..).zip(shop.log.heads().await.unwrap()) {
        expected.extend((0..head).map(|o| (partition, o)).filter(|at| !left_out.contains(at)));
    }
    eventually("all else is posted", || async { posted(&shop.read).await == expected }).await;
    let client = shop.read.pool.get().await.unwrap();
    let sql = "select log_offset, discarded_by, why, reason from shop_read.discarded order by 1";
    let rows = client.query(sql, &[]).await.unwrap();
    let kept: Vec<(i64, String, String, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let row = |at: (i32, i64), by: &str| (at.1, by.to_owned(), "a test".into(), "as told".into());
    assert_eq!(kept, [row((2, 5), "an operator"), row(next, "another")]);
    shop.close().await;
}

#[tokio::test]
async fn when_too_much_is_parked_the_partition_stops_and_says_so() {
    let poison = || ApplyError::Poison("as told".into());
    let shop = Shop::open(poison, FollowLimits { parked: 3, ..FollowLimits::default() }).await;
    fill(&shop.log, 100..400).await;
    eventually("the partition stops", async || shop.runner.stopped().len() == 1).await;
    let stopped = shop.runner.stopped().remove(0);
    assert_eq!(stopped.name, "posting/shop/2");
    assert!(stopped.why.contains("daybook parked list"), "{}", stopped.why);

    shop.choking.on.lock().unwrap().clear();
    assert_eq!(retry(&shop.read, &Which::All).await.unwrap(), 1);
    all_posted_once(&shop.read, &shop.log).await;
    eventually("nothing stands still", async || shop.runner.stopped().is_empty()).await;
    shop.close().await;
}

#[tokio::test]
async fn what_is_not_the_events_fault_parks_nothing() {
    for how in [
        || ApplyError::Transient("later".into()),
        || ApplyError::Unknown("of tomorrow".into()),
        || ApplyError::Broken("no such table".into()),
    ] {
        let shop = Shop::open(how, FollowLimits::default()).await;
        let before: Vec<(i32, i64)> = (0..5).map(|offset| (2, offset)).collect();
        let heads = shop.log.heads().await.unwrap();
        eventually("its partition is posted up to it", async || {
            let posted = posted(&shop.read).await;
            let others = posted.iter().filter(|(partition, _)| *partition != 2).count();
            let third: Vec<_> = posted.into_iter().filter(|(p, _)| *p == 2).collect();
            let all: i64 = heads.iter().sum::<i64>() - heads[2];
            i64::try_from(others) == Ok(all) && (third == before || third.is_empty())
        })
        .await;
        assert!(shop.parked().await.is_empty());
        shop.choking.on.lock().unwrap().clear();
        all_posted_once(&shop.read, &shop.log).await;
        shop.close().await;
    }
}

#[tokio::test]
async fn what_a_newer_binary_wrote_is_left_to_a_process_that_can_read_it() {
    let unknown = || ApplyError::Unknown("of tomorrow".into());
    let shop = Shop::open(unknown, FollowLimits::default()).await;
    eventually("the older one stands still", async || shop.runner.stopped().len() == 1).await;
    let newer = Choking::on(BTreeSet::new(), unknown);
    let (runner, stop) = run(&shop.log, &newer, &shop.read, FollowLimits::default());
    all_posted_once(&shop.read, &shop.log).await;
    fill(&shop.log, 100..200).await;
    all_posted_once(&shop.read, &shop.log).await;
    eventually("the older one has nothing to tell", async || shop.runner.stopped().is_empty())
        .await;
    stop.cancel();
    runner.wait().await;
    shop.close().await;
}
