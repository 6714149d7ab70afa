//! A process that stands still: its links live, for its kernel answers for it, and nothing more comes over them. What it
//! holds in Postgres is free after a lease, and others do its work.

use crate::kafka::{copied, fill, logged, once, own, to};
use crate::posting::{Posting, all_posted_once, postings, read_side};
use crate::proxy::{Mode, Proxy};
use crate::relay::Running;
use crate::support::{eventually, fresh_database, open, settings};
use event_store::follow::{Feed, FollowLimits, ReadSide, Runner};
use event_store::kafka::RelayState;
use event_store::{Database, DatabaseLimits, Log, LogSettings};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Long enough for a machine that has much else to do to say something in it.
const LEASE: Duration = Duration::from_secs(4);

/// More than a second: a connection that was taken within the last one is not asked whether it lives.
const CALL_TIMEOUT: Duration = Duration::from_millis(1_100);

/// A database, and the way to it of a process that will stand still.
async fn two_ways() -> (Database, Database, Proxy) {
    let limits = DatabaseLimits { lease: LEASE, ..DatabaseLimits::default() };
    let database = Database { limits, ..fresh_database().await };
    let proxy = Proxy::before(&database).await;
    let way = proxy.of(&database);
    (database, way, proxy)
}

fn read_by(database: &Database) -> ReadSide {
    ReadSide::open(&database.of_service("shop"), "shop", 4).unwrap()
}

#[tokio::test]
async fn a_lock_is_kept_by_who_is_at_work_and_free_a_lease_after_he_stands_still() {
    let (database, way, proxy) = two_ways().await;
    let (stands, other) = (read_by(&way), read_by(&database));
    let lock = stands.locks.try_lock("it").await.unwrap().expect("nobody has it");
    let admin = database.connect("tests").await.unwrap();
    let sql = "select clock_timestamp() - backend_start > make_interval(secs => $1) \
         from pg_stat_activity where datname = current_database() \
           and application_name = 'daybook locks' order by backend_start limit 1";
    let leases = 2.0 * LEASE.as_secs_f64();
    eventually("it was held for two leases", async || {
        admin.query_one(sql, &[&leases]).await.unwrap().get(0)
    })
    .await;
    assert!(lock.is_held());
    assert!(other.locks.try_lock("it").await.unwrap().is_none());
    proxy.set(Mode::BlackHole);
    eventually("another one has it", async || other.locks.try_lock("it").await.unwrap().is_some())
        .await;
    eventually("who stands still has lost it", async || !lock.is_held()).await;
}

#[tokio::test]
async fn the_rows_of_who_stands_still_in_a_transaction_are_free_after_a_lease() {
    let (database, way, proxy) = two_ways().await;
    read_side(&database).await;
    let (stands, other) = (read_by(&way), read_by(&database));
    let mut client = stands.posts.get().await.unwrap();
    let tx = client.transaction().await.unwrap();
    tx.batch_execute("lock table shop_read.posting in access exclusive mode").await.unwrap();
    proxy.set(Mode::BlackHole);
    let other = other.posts.get().await.unwrap();
    eventually("another one may write", async || {
        let written = "insert into shop_read.posting values (0, 0, 'other')";
        other.batch_execute(written).await.is_ok()
    })
    .await;
    drop(tx);
}

#[tokio::test]
async fn who_stands_still_is_followed_by_another_and_nothing_is_posted_twice() {
    let (database, way, proxy) = two_ways().await;
    let seen = read_side(&database).await;
    let (stop, written) = (CancellationToken::new(), open(&database).await);
    let limits = FollowLimits { call_timeout: CALL_TIMEOUT, ..FollowLimits::default() };
    let mut runners = Vec::new();
    for (process, way) in [("stands", &way), ("other", &database)] {
        let log = Log::open(LogSettings { call_timeout: CALL_TIMEOUT, ..settings(way) }).await;
        let feeds = vec![Feed::new(log.unwrap())];
        let runner = Runner::limited(feeds, stop.clone(), limits.clone());
        runner.follow(&(Arc::new(Posting { process }) as _), 0, &read_by(way));
        if process == "stands" {
            fill(&written, 0..100).await;
            // All partitions are his.
            eventually("he follows", async || postings(&seen).await.len() == 100).await;
        }
        runners.push(runner);
    }
    proxy.set(Mode::BlackHole);
    fill(&written, 100..200).await;
    eventually("another one follows", async || postings(&seen).await.len() >= 200).await;
    proxy.set(Mode::Pass);
    fill(&written, 200..300).await;
    all_posted_once(&seen, &written).await;
    stop.cancel();
    for runner in runners {
        runner.wait().await;
    }
}

#[tokio::test]
async fn a_relay_that_stands_still_is_followed_by_another_and_the_copy_is_whole() {
    let (database, way, proxy) = two_ways().await;
    let log = LogSettings { call_timeout: CALL_TIMEOUT, ..settings(&way) };
    let (log, other) = (Log::open(log).await.unwrap(), open(&database).await);
    let topic = own("shop-events");
    let mut stands = Running::start(&log, to(&topic));
    stands.until("it relays", |status| status.state == RelayState::Up).await;
    let mut twin = Running::start(&other, to(&topic));
    twin.until("it waits", |status| status.state == RelayState::Elsewhere).await;
    fill(&other, 0..100).await;
    proxy.set(Mode::BlackHole);
    fill(&other, 100..200).await;
    twin.until("it relays", |status| status.state == RelayState::Up).await;
    twin.caught_up(&other).await;
    proxy.set(Mode::Pass);
    stands.until("it has lost the log", |status| status.state == RelayState::Elsewhere).await;
    fill(&other, 200..300).await;
    twin.caught_up(&other).await;
    assert_eq!(copied(&topic, &other).await.map(once), Some(logged(&other).await));
    stands.stop().await;
    twin.stop().await;
}
