//! What a rebuild, a verification and a drop refuse.

use crate::stories::{Shop, pieces};
use crate::support::{Process, fresh_database};
use crate::verify::{Beside, named};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use domain::inventory::stock;
use event_store::Recorded;
use event_store::follow::ApplyError;
use projections::{Check, Layout, Place, Projection, RebuildError, Verified, drop_one};
use std::sync::Arc;

/// A shop with some stock that nobody follows.
async fn unfollowed() -> Beside {
    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    for number in 1..=5 {
        let receive = stock::Command::Receive { quantity: pieces(7) };
        shop.stock(&format!("S{number}"), vec![receive]).await;
    }
    Beside(process, named("stock"))
}

async fn rebuilt(beside: &Beside) -> Verified {
    projections::rebuild(&beside.work(), Check::Verify).await.unwrap().verified
}

#[tokio::test]
async fn a_generation_that_a_process_follows_is_not_dropped() {
    let beside = unfollowed().await;
    for _ in 0..2 {
        rebuilt(&beside).await;
    }
    let follows = beside.0.read("inventory").locks.try_lock("stock/inventory/2#1").await.unwrap();
    let refused = drop_one(&beside.work(), 1).await;
    assert!(matches!(refused, Err(RebuildError::IsFollowed("stock", 1))), "{refused:?}");
    follows.unwrap().release().await;
    drop_one(&beside.work(), 1).await.unwrap();
}

#[tokio::test]
async fn live_rows_that_are_at_no_place_of_the_log_are_compared_with_nothing() {
    let beside = unfollowed().await;
    rebuilt(&beside).await;
    assert_eq!(beside.verify().await.unwrap().differing(), 0);
    // As if the log had lost what was posted last, and others had been appended since.
    let elsewhere = "update inventory_read.checkpoint set last_event_id = gen_random_uuid() \
                      where follower = 'stock' and generation = 1 and last_event_id is not null";
    beside.0.admin.batch_execute(elsewhere).await.unwrap();
    let refused = beside.verify().await;
    assert!(matches!(refused, Err(RebuildError::NowhereNear("stock"))), "{refused:?}");
    let generations = "select count(*) from inventory_read.generation where projection = 'stock'";
    assert_eq!(beside.0.number(generations).await, 1, "nothing is left behind");
    // What it says mends it.
    assert!(matches!(rebuilt(&beside).await, Verified::Replay { .. }));
    assert_eq!(beside.verify().await.unwrap().differing(), 0);
}

/// A fold that makes something else of the log every other time.
struct Wavering(Arc<dyn Projection>);

#[async_trait]
impl Projection for Wavering {
    fn layout(&self) -> &'static Layout {
        self.0.layout()
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        let seen = if place.generation % 2 == 0 { &[] } else { batch };
        self.0.post(place, tx, seen).await
    }
}

#[tokio::test]
async fn a_fold_that_is_not_the_same_each_time_is_refused_whoever_would_accept_it() {
    let beside = unfollowed().await;
    let beside = Beside(beside.0, Arc::new(Wavering(named("stock"))));
    for check in [Check::Verify, Check::Accept] {
        let refused = projections::rebuild(&beside.work(), check).await;
        let Err(RebuildError::Unsteady(compared)) = refused else { panic!("{refused:?}") };
        assert_eq!(compared.differing(), 5);
        let generations = "select count(*) from inventory_read.generation";
        assert_eq!(beside.0.number(generations).await, 0, "nothing is left behind");
    }
}
