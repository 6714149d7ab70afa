use crate::support::{Till, TillCommand, envelope, eventually, fresh_database, id, open};
use async_trait::async_trait;
use event_store::dues::{Asked, Claimed, DueFollower, DueLimits, DueWorker, Settle, late};
use event_store::follow::{Feed, Follower, ReadSide, Runner, wait_until_posted};
use event_store::{TransactLimits, Transactor};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Prints receipts; the first try of each is lost.
struct Printer {
    till: Transactor<Till>,
    tries: Mutex<HashMap<(String, String), u32>>,
}

#[async_trait]
impl Settle<Till> for Printer {
    async fn settle(&self, due: Claimed<u64>) -> Asked {
        let tries = {
            let mut tries = self.tries.lock().unwrap();
            let tries = tries.entry((due.stream.clone(), due.key.clone())).or_default();
            *tries += 1;
            *tries
        };
        if tries == 1 {
            return Asked::Again("out of paper".into());
        }
        let mut envelope = envelope(due.command_id);
        envelope.metadata = due.metadata;
        let receipted = TillCommand::Receipted { put: due.request };
        self.till.transact(&due.stream, receipted, envelope).await.unwrap();
        Asked::Yes
    }
}

/// Counts what it is asked for, and lets it lie.
#[derive(Default)]
struct Counting(Mutex<Vec<String>>);

#[async_trait]
impl Settle<Till> for Counting {
    async fn settle(&self, due: Claimed<u64>) -> Asked {
        self.0.lock().unwrap().push(due.key);
        std::future::pending().await
    }
}

async fn owe(read: &ReadSide, category: &str, keys: std::ops::Range<u64>, request: &str) {
    let client = read.pool.get().await.unwrap();
    for key in keys {
        let sql = "insert into shop_read.due (stream, key, request, correlation, causation, due_at) \
             select $1, $2, $3::text::json, 'c', gen_random_uuid(), '2020-01-01'::timestamptz \
                    + make_interval(secs => $4)";
        let (stream, name) = (format!("{category}-1"), format!("receipt:{key}"));
        #[expect(clippy::cast_precision_loss, reason = "a few keys")]
        let seconds = key as f64;
        client.execute(sql, &[&stream, &name, &request, &seconds]).await.unwrap();
    }
}

fn counting(read: &ReadSide, concurrency: usize) -> (Arc<Counting>, DueWorker<Till>) {
    let counting = Arc::new(Counting::default());
    let limits = DueLimits { concurrency, ..DueLimits::default() };
    let worker = DueWorker::new(read.clone(), counting.clone(), Arc::default(), limits);
    (counting, worker)
}

#[tokio::test]
async fn a_worker_claims_no_more_than_it_has_room_for() {
    let database = fresh_database().await;
    let read = ReadSide::open(&database.of_service("shop"), "shop", 1).unwrap();
    // Vacuumed while empty, the table's plan is made for one row, and is kept.
    let admin = database.connect("tests").await.unwrap();
    admin.batch_execute("vacuum analyze shop_read.due").await.unwrap();
    let (counting, mut worker) = counting(&read, 4);
    for _ in 0..10 {
        assert_eq!(worker.try_step().await.unwrap(), 0);
    }
    owe(&read, "till", 0..30, "1").await;
    assert_eq!(worker.try_step().await.unwrap(), 4);
    assert_eq!(worker.try_step().await.unwrap(), 0);
    eventually("four are asked for", || async { counting.0.lock().unwrap().len() == 4 }).await;
}

#[tokio::test]
async fn what_a_killed_worker_was_at_is_asked_for_at_once() {
    let database = fresh_database().await;
    let open = || ReadSide::open(&database.of_service("shop"), "shop", 2).unwrap();
    let (killed, next) = (open(), open());
    owe(&next, "till", 0..3, "1").await;
    let (_, mut worker) = counting(&killed, 64);
    assert_eq!(worker.try_step().await.unwrap(), 3);
    let (counting, mut other) = counting(&next, 64);
    assert_eq!(other.try_step().await.unwrap(), 0, "somebody alive is at them");
    // A kill closes its connections, and that is all that is seen of it.
    killed.posts.close();
    let claimed = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match other.try_step().await.unwrap() {
                0 => tokio::time::sleep(Duration::from_millis(10)).await,
                claimed => return claimed,
            }
        }
    });
    assert_eq!(claimed.await.expect("long before the lease ends"), 3);
    eventually("all are asked for", || async { counting.0.lock().unwrap().len() == 3 }).await;
}

#[tokio::test]
async fn what_was_put_off_waits_though_its_worker_is_gone() {
    let database = fresh_database().await;
    let open = || ReadSide::open(&database.of_service("shop"), "shop", 2).unwrap();
    let (killed, next) = (open(), open());
    owe(&next, "till", 0..1, "\"of a newer binary\"").await;
    let limits = DueLimits { retry_first: Duration::from_secs(600), ..DueLimits::default() };
    let limits = DueLimits { retry_most: Duration::from_secs(600), ..limits };
    let nobody = Arc::new(Counting::default());
    let mut worker = DueWorker::<Till>::new(killed.clone(), nobody, Arc::default(), limits);
    assert_eq!(worker.try_step().await.unwrap(), 1);
    eventually("it is put off", || async {
        late(&next, 0.0, 1).await.unwrap()[0].last_error.is_some()
    })
    .await;
    killed.posts.close();
    let admin = database.connect("tests").await.unwrap();
    eventually("its connections are gone", || async {
        let sql = "select count(*) from pg_stat_activity \
             where datname = current_database() and application_name like '%follow%'";
        // One of them is the other worker's.
        admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) <= 1
    })
    .await;
    let (_, mut other) = counting(&next, 64);
    assert_eq!(other.try_step().await.unwrap(), 0);
}

#[tokio::test]
async fn a_due_that_cannot_be_read_holds_up_no_other() {
    let read = ReadSide::open(&fresh_database().await.of_service("shop"), "shop", 4).unwrap();
    owe(&read, "till", 0..3, "\"of a newer binary\"").await;
    owe(&read, "till", 3..6, "1").await;
    owe(&read, "drawer", 6..9, "1").await;
    let (counting, mut worker) = counting(&read, 64);
    assert_eq!(worker.try_step().await.unwrap(), 6);
    eventually("three are asked for", || async { counting.0.lock().unwrap().len() == 3 }).await;
    eventually("the others say why", || async {
        let late = late(&read, 0.0, 100).await.unwrap();
        late.iter().filter(|due| due.last_error.is_some()).count() == 3
    })
    .await;
}

#[tokio::test]
async fn what_is_owed_is_asked_for_until_the_stream_has_moved_on() {
    let database = fresh_database().await;
    let log = open(&database).await;
    let till = Transactor::<Till>::new(log.clone(), TransactLimits::default());
    let read = ReadSide::open(log.database(), "shop", 4).unwrap();
    let stop = CancellationToken::new();
    let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
    let dues = DueFollower::<Till>::new(log.clone(), read.clone());
    let posted = dues.posted();
    let dues: Arc<dyn Follower> = Arc::new(dues);
    runner.follow(&dues, 0, &read);
    let mut last = None;
    for i in 0..20_u128 {
        let stream = format!("till-{}", i % 5);
        let done = till.transact(&stream, TillCommand::Put { amount: 1 }, envelope(id(i))).await;
        last = done.unwrap().position;
    }
    let limit = Duration::from_secs(60);
    assert!(wait_until_posted(&read, &last.unwrap(), limit).await.unwrap());
    eventually("all twenty are owed", || async {
        late(&read, 0.0, 100).await.unwrap().len() == 20
    })
    .await;

    let printer = Arc::new(Printer { till: till.clone(), tries: Mutex::default() });
    // It learns of what it has put off without looking around.
    let (retry_first, poll) = (Duration::from_millis(10), Duration::from_secs(3_600));
    let limits = DueLimits { retry_first, poll, ..DueLimits::default() };
    let worker = DueWorker::<Till>::new(read.clone(), printer.clone(), posted, limits);
    let worker = tokio::spawn(worker.run(stop.clone()));
    eventually("nothing is owed", || async { late(&read, 0.0, 100).await.unwrap().is_empty() })
        .await;
    let tries = printer.tries.lock().unwrap().clone();
    assert_eq!(tries.len(), 20);
    assert!(tries.values().all(|count| *count == 2), "{tries:?}");
    for i in 0..5 {
        assert_eq!(till.state(&format!("till-{i}")).await.unwrap().1, 8);
    }
    stop.cancel();
    worker.await.unwrap();
    runner.wait().await;
    log.close().await;
}

#[tokio::test]
async fn a_worker_that_hangs_is_seen_to_from_the_outside() {
    let database = fresh_database().await.of_service("shop");
    let read = ReadSide::open(&database, "shop", 4).unwrap();
    owe(&read, "till", 0..3, "1").await;
    let limits = DueLimits { concurrency: 1, ..DueLimits::default() };
    let worker =
        DueWorker::<Till>::new(read, Arc::new(Counting::default()), Arc::default(), limits);
    let mut watch = worker.watch();
    let stop = CancellationToken::new();
    let working = tokio::spawn(worker.run(stop.clone()));
    let second = Duration::from_secs(1);
    eventually("it stands still before the other two", async || {
        let progress = watch.look().await;
        progress.behind == 2 && progress.still > second
    })
    .await;
    working.abort();
}
