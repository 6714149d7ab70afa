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
    let limits = DueLimits { retry_first: Duration::from_millis(10), ..DueLimits::default() };
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
