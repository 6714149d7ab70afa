//! Snapshots of folded states cost or save time, and change nothing else.

use crate::support::{
    InTill, Till, TillCommand, envelope, eventually, fresh_database, id, lose_the_tail, open,
    settings, took_one,
};
use event_store::{Database, Log, TransactLimits, Transactor};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio_postgres::Client;

/// One that takes a snapshot whenever so many events are new.
fn till(log: &Log, snapshot_events: i64) -> Transactor<Till> {
    let limits = TransactLimits { snapshot_events, ..TransactLimits::default() };
    Transactor::with_snapshots(log.clone(), limits)
}

async fn put(till: &Transactor<Till>, stream: &str, amount: u64, command: u128) {
    till.transact(stream, TillCommand::Put { amount }, envelope(id(command))).await.unwrap();
}

/// The state as a process finds it that has just begun, with snapshots and without.
async fn found(log: &Log, stream: &str) -> ((InTill, i64), (InTill, i64)) {
    let without = Transactor::<Till>::new(log.clone(), TransactLimits::default());
    (till(log, 1_000).state(stream).await.unwrap(), without.state(stream).await.unwrap())
}

async fn is_found_as_it_was_folded(log: &Log, stream: &str) {
    let (with, without) = found(log, stream).await;
    assert_eq!(with, without);
}

/// The version that a stream's snapshot is folded to.
async fn kept(admin: &Client, stream: &str) -> Option<i64> {
    let sql = "select version from shop_read.snapshot where stream = $1 and state_version = 3";
    admin.query_opt(sql, &[&stream]).await.unwrap().map(|row| row.get(0))
}

async fn is_kept(admin: &Client, stream: &str, version: i64) {
    let what = format!("{stream} is kept at {version}");
    eventually(&what, async || kept(admin, stream).await == Some(version)).await;
}

async fn tell(admin: &Client, sql: &str) {
    assert!(admin.execute(sql, &[]).await.unwrap() > 0, "{sql}");
}

async fn world() -> (Database, Client, Log) {
    let database = fresh_database().await;
    let admin = database.connect("tests").await.unwrap();
    let log = open(&database).await;
    (database, admin, log)
}

#[tokio::test]
async fn a_stream_is_folded_from_its_snapshot_on() {
    let (_, admin, log) = world().await;
    let till = till(&log, 5);
    for command in 0..12 {
        put(&till, "till-1", 1, command).await;
    }
    is_kept(&admin, "till-1", 10).await;
    is_found_as_it_was_folded(&log, "till-1").await;
    // What nobody has folded shows where the rest is added to.
    let other =
        "update shop_read.snapshot set state = '{\"amount\":100,\"unreceipted\":[],\"puts\":10}'";
    tell(&admin, other).await;
    let ((with, _), (without, _)) = found(&log, "till-1").await;
    assert_eq!((with.amount, without.amount), (102, 12));
}

#[tokio::test]
async fn what_is_folded_from_any_snapshot_on_is_what_is_folded_from_the_first_event_on() {
    let (_, admin, log) = world().await;
    let command = prop_oneof![
        (1..9_u64).prop_map(|amount| TillCommand::Put { amount }),
        (0..9_u64).prop_map(|amount| TillCommand::Take { amount }),
        (1..9_u64).prop_map(|put| TillCommand::Receipted { put }),
    ];
    let commands = prop::collection::vec(command, 30);
    let commands = commands.new_tree(&mut TestRunner::default()).unwrap().current();
    let here = Transactor::<Till>::new(log.clone(), TransactLimits::default());
    let mut states = BTreeMap::new();
    for (command, number) in commands.into_iter().zip(0..) {
        // What is refused leaves the state as it was.
        let _ = here.transact("till-1", command, envelope(id(number))).await;
        let (state, version) = here.state("till-1").await.unwrap();
        states.insert(version, serde_json::to_string(&state).unwrap());
    }
    assert!(states.len() > 5);
    let sql = "insert into shop_read.snapshot \
               select stream, 3, version, event_id, recorded_at, $2 from shop.event where version = $1";
    for (version, state) in states {
        admin.execute("delete from shop_read.snapshot", &[]).await.unwrap();
        admin.execute(sql, &[&version, &state]).await.unwrap();
        is_found_as_it_was_folded(&log, "till-1").await;
    }
}

#[tokio::test]
async fn a_snapshot_that_does_not_hold_is_passed_over_and_replaced() {
    let (_, admin, log) = world().await;
    let first = till(&log, 3);
    for command in 0..3 {
        put(&first, "till-1", 1, command).await;
    }
    is_kept(&admin, "till-1", 3).await;
    for (spoilt, command) in [
        "state = '{\"amount\":100,\"unreceipted\":[],\"puts\":10}', event_id = gen_random_uuid()",
        "state = '{\"amount\":100,\"unreceipted\":[],\"puts\":10}', recorded_at = clock_timestamp()",
        "state = '{\"amount\":100,\"unreceipted\":[],\"puts\":10}', state_version = 2",
        "state = '{\"amount\":100,\"unreceipted\":[],\"puts\":10}', state_version = 4",
        "state = '{\"amount\":100,\"unreceipted\":[],\"puts\":10}', version = version + 100",
        "state = '{\"amount\":100}'",
        "state = 'garbage'",
        "state = ''",
    ]
    .into_iter()
    .zip(3..)
    {
        tell(&admin, &format!("update shop_read.snapshot set {spoilt} where state_version = 3"))
            .await;
        is_found_as_it_was_folded(&log, "till-1").await;
        // Whoever decides there next leaves a better one.
        put(&till(&log, 1), "till-1", 1, command).await;
        is_kept(&admin, "till-1", i64::try_from(command).unwrap() + 1).await;
        is_found_as_it_was_folded(&log, "till-1").await;
    }
    // Of an older state nobody has use, of a newer one a newer binary.
    let sql = "select array_agg(state_version order by state_version) from shop_read.snapshot";
    assert_eq!(admin.query_one(sql, &[]).await.unwrap().get::<_, Vec<i32>>(0), [3, 4]);
}

/// Three events, of which the last two are lost. The last one comes again with the same id and in the same place,
/// but what precedes it is another one.
async fn comes_again_after_another_history(database: &Database, log: &Log) {
    lose_the_tail(database).await;
    lose_the_tail(database).await;
    let elsewhere = till(log, 1_000);
    put(&elsewhere, "till-1", 100, 9).await;
    put(&elsewhere, "till-1", 3, 3).await;
    let (_, (state, version)) = found(log, "till-1").await;
    assert_eq!((state.amount, version), (104, 3));
}

#[tokio::test]
async fn nothing_is_folded_from_a_snapshot_of_a_tail_that_was_lost() {
    let (database, admin, log) = world().await;
    let here = till(&log, 3);
    for (amount, command) in [(1, 1), (2, 2), (3, 3)] {
        put(&here, "till-1", amount, command).await;
    }
    is_kept(&admin, "till-1", 3).await;
    comes_again_after_another_history(&database, &log).await;
    assert_eq!(kept(&admin, "till-1").await, Some(3));
    is_found_as_it_was_folded(&log, "till-1").await;
    let take = TillCommand::Take { amount: 104 };
    here.transact("till-1", take, envelope(id(4))).await.unwrap();
}

#[tokio::test]
async fn nothing_is_written_of_a_tail_that_was_lost_meanwhile() {
    let (database, admin, log) = world().await;
    let here = till(&log, 3);
    let holder = database.connect("tests").await.unwrap();
    holder.batch_execute("begin; lock table shop_read.snapshot in exclusive mode").await.unwrap();
    for (amount, command) in [(1, 1), (2, 2), (3, 3)] {
        put(&here, "till-1", amount, command).await;
    }
    let waits = "select count(*) from pg_stat_activity where application_name = 'daybook snapshots' \
                 and datname = current_database() and wait_event_type = 'Lock'";
    eventually("the snapshot is held up", async || {
        admin.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    comes_again_after_another_history(&database, &log).await;
    holder.batch_execute("commit").await.unwrap();
    // What comes behind it tells that it has had its turn.
    for command in 20..23 {
        put(&here, "till-2", 1, command).await;
    }
    is_kept(&admin, "till-2", 3).await;
    assert_eq!(kept(&admin, "till-1").await, None);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_is_in_nobodys_way() {
    let (database, admin, log) = world().await;
    let limits = TransactLimits { snapshot_events: 1, snapshot_queue: 2, ..Default::default() };
    let here = Transactor::<Till>::with_snapshots(log.clone(), limits);
    let holder = database.connect("tests").await.unwrap();
    holder.batch_execute("begin; lock table shop_read.snapshot in exclusive mode").await.unwrap();
    let sending = async {
        for number in 0..30 {
            put(&here, &format!("till-{number}"), 1, number).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), sending).await.expect("nobody waits");
    is_found_as_it_was_folded(&log, "till-29").await;
    holder.batch_execute("commit").await.unwrap();
    let mut command = 100;
    eventually("what was left out is made up for", async || {
        put(&here, "till-29", 1, command).await;
        command += 1;
        kept(&admin, "till-29").await.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_state_that_is_too_large_is_not_kept() {
    let (_, admin, log) = world().await;
    let limits = TransactLimits { snapshot_events: 1, snapshot_bytes: 60, ..Default::default() };
    let here = Transactor::<Till>::with_snapshots(log.clone(), limits);
    for command in 0..40 {
        put(&here, "till-1", 1, command).await;
    }
    // One after the other: if there were one of the last state, it would be there before this one.
    put(&here, "till-2", 1, 100).await;
    is_kept(&admin, "till-2", 1).await;
    assert!(kept(&admin, "till-1").await.unwrap() < 20);
    is_found_as_it_was_folded(&log, "till-1").await;
}

#[tokio::test]
async fn a_large_state_is_not_written_for_every_little_change() {
    let (_, admin, log) = world().await;
    let here = till(&log, 1);
    let mut versions = Vec::new();
    for command in 0..200 {
        put(&here, "till-1", 1, command).await;
        versions.extend(kept(&admin, "till-1").await);
    }
    versions.dedup();
    // 200 pieces of 12 bytes: with each twice as large as the one before there are few.
    assert!(versions.len() < 60, "{versions:?}");
}

#[tokio::test]
async fn a_stream_of_more_events_than_the_cache_takes_stays_in_it_by_the_size_of_its_state() {
    let (_, _, log) = world().await;
    let limits =
        || TransactLimits { cache_bytes: 6_000, snapshot_events: 10, ..Default::default() };
    let (with, without) =
        (Transactor::with_snapshots(log.clone(), limits()), Transactor::new(log, limits()));
    put(&with, "till-1", 1_000, 0).await;
    let take = |till: &Transactor<Till>, command| {
        let till = till.clone();
        let take = TillCommand::Take { amount: 1 };
        async move { till.transact("till-1", take, envelope(id(command))).await.unwrap() }
    };
    futures_util::future::join_all((1..500).map(|command| take(&with, command))).await;
    eventually("the state is kept", async || with.load().1 > 0).await;
    take(&without, 500).await;
    assert_eq!(without.load().1, 0);
}

#[tokio::test]
async fn whatever_becomes_of_the_snapshots_a_hot_stream_of_two_processes_is_decided_right() {
    let (database, admin, log) = world().await;
    let tills = [till(&log, 1), till(&open(&database).await, 1)];
    put(&tills[0], "till-1", 60, 1).await;
    let mut takers = tokio::task::JoinSet::new();
    for taker in 0..120_u128 {
        let till = tills[usize::try_from(taker % 2).unwrap()].clone();
        takers.spawn(async move { took_one(&till, taker).await });
    }
    let mut taken = 0;
    while let Some(ended) = takers.join_next().await {
        taken += i32::from(ended.unwrap());
        let spoil = match taken % 3 {
            0 => "delete from shop_read.snapshot",
            1 => "update shop_read.snapshot set state = 'garbage'",
            _ => "update shop_read.snapshot set version = version - 1",
        };
        admin.execute(spoil, &[]).await.unwrap();
    }
    assert_eq!(taken, 60);
    is_found_as_it_was_folded(&log, "till-1").await;
}

#[test]
fn a_process_that_ends_between_an_append_and_its_snapshot_has_lost_nothing() {
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (here, tests) = (runtime(), runtime());
    let (database, admin, log) = tests.block_on(world());
    tests.block_on(async {
        let hold = "begin; lock table shop_read.snapshot in exclusive mode";
        admin.batch_execute(hold).await.unwrap();
    });
    let dies = async move {
        let till = till(&Log::open(settings(&database)).await.unwrap(), 1);
        for command in 0..10 {
            put(&till, "till-1", 1, command).await;
        }
    };
    here.block_on(here.spawn(dies)).unwrap();
    here.shutdown_background();
    tests.block_on(async {
        admin.batch_execute("commit").await.unwrap();
        let (with, without) = found(&log, "till-1").await;
        assert_eq!((with.1, &with), (10, &without));
        put(&till(&log, 1), "till-1", 1, 10).await;
        is_kept(&admin, "till-1", 11).await;
        is_found_as_it_was_folded(&log, "till-1").await;
    });
}
