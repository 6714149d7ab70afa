//! Rebuilds and verifications that are told to stop.

use crate::support::{Process, eventually};
use crate::verify::{Beside, beside, left_behind, named, quiet};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use event_store::Recorded;
use event_store::follow::ApplyError;
use projections::{
    Check, Layout, Left, Phase, Place, Progress, Projection, RebuildError, Tell, Work, verify,
};
use std::sync::{Arc, Mutex, mpsc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What it leaves when it is stopped; `rebuild` or `verify`.
async fn left(beside: &Beside, what: &str, tell: Tell, stop: &CancellationToken) -> Left {
    let work = Work { tell, stop: stop.clone(), ..beside.work() };
    let stopped = match what {
        "rebuild" => projections::rebuild(&work, Check::Verify).await.map(|_| ()),
        _ => verify(&work).await.map(|_| ()),
    };
    match stopped {
        Err(RebuildError::Stopped(left)) => left,
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_stopped_what_it_built_is_dropped_and_the_live_one_is_as_it_was() {
    let (serving, beside) = beside("orders").await;
    for (what, phase) in [
        ("rebuild", Phase::Filling),
        ("rebuild", Phase::Indexing),
        ("rebuild", Phase::Verifying),
        ("verify", Phase::Filling),
        ("verify", Phase::Verifying),
    ] {
        let stop = CancellationToken::new();
        let stops = stop.clone();
        let tell = Arc::new(move |it: Progress| {
            if it.phase == phase {
                stops.cancel();
            }
        });
        assert_eq!(left(&beside, what, tell, &stop).await, Left::Nothing, "{what}, {phase:?}");
        assert_eq!(left_behind(&serving).await, 0, "{what}, {phase:?}");
    }
    assert_eq!(beside.verify().await.unwrap().differing(), 0);
}

/// A fold that never comes to its end.
struct Endless(Arc<dyn Projection>);

#[async_trait]
impl Projection for Endless {
    fn layout(&self) -> &'static Layout {
        self.0.layout()
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        self.0.post(place, tx, batch).await?;
        tx.batch_execute("select pg_sleep(86400)").await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_in_postgres_is_broken_off() {
    let (serving, mut beside) = beside("orders").await;
    beside.1 = Arc::new(Endless(named("orders")));
    let is_under_way = "select count(*) from pg_stat_activity \
         where datname = current_database() and query like '%pg_sleep(86400)%' and pid <> pg_backend_pid() \
           and state = 'active'";
    for what in ["rebuild", "verify"] {
        let stop = CancellationToken::new();
        let stopping = async {
            eventually("it is under way", || async { serving.number(is_under_way).await > 0 })
                .await;
            stop.cancel();
        };
        let (left, ()) = tokio::join!(left(&beside, what, quiet(), &stop), stopping);
        assert_eq!(left, Left::Nothing, "{what}");
        assert_eq!(left_behind(&serving).await, 0, "{what}");
        assert_eq!(serving.number(is_under_way).await, 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_dropped_at_once_is_left_to_the_next_one_and_it_says_so() {
    let (serving, beside) = beside("stock").await;
    let beside = Arc::new(beside);
    let (go_on, wait) = mpsc::channel::<()>();
    let (wait, begun) = (Mutex::new(wait), Arc::new(Notify::new()));
    let notify = begun.clone();
    let tell = Arc::new(move |it: Progress| {
        if it.phase == Phase::Indexing {
            notify.notify_one();
            tokio::task::block_in_place(|| wait.lock().unwrap().recv().unwrap());
        }
    });
    let stop = CancellationToken::new();
    let (stopping, working) = (stop.clone(), beside.clone());
    let stopped = tokio::spawn(async move { left(&working, "rebuild", tell, &stopping).await });
    begun.notified().await;
    let lock = |act: &str| {
        let name = "generations of inventory_read.stock";
        format!("select {act}(hashtextextended('{name}', 0))")
    };
    serving.admin.batch_execute(&lock("pg_advisory_lock")).await.unwrap();
    stop.cancel();
    go_on.send(()).unwrap();
    let left = stopped.await.unwrap();
    assert!(matches!(left, Left::Unknown(_)), "{left:?}");
    assert_eq!(states(&serving).await, "1 live, 2 building");
    serving.admin.batch_execute(&lock("pg_advisory_unlock")).await.unwrap();
    eventually("the next one may begin", || async { beside.verify().await.is_ok() }).await;
    assert_eq!(states(&serving).await, "1 live");
}

async fn states(process: &Process) -> String {
    let sql = "select string_agg(generation || ' ' || state, ', ' order by generation) \
               from inventory_read.generation where projection = 'stock'";
    process.admin.query_one(sql, &[]).await.unwrap().get(0)
}
