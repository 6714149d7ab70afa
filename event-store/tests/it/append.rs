use crate::support::{PARTITIONS, at, eventually, fresh_database, id, open, settings};
use event_store::{
    AppendError, Chain, Entry, EventEntry, Log, LogSettings, Metadata, StoredMetadata, Verdict,
    event_id, migrate,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

fn event(stream: &str, command_id: Uuid, ordinal: i32) -> EventEntry {
    EventEntry {
        event_id: event_id(stream, command_id, ordinal),
        event_type: "till.filled",
        schema_version: 1,
        payload: format!(r#"{{"amount": {ordinal}}}"#),
        metadata: StoredMetadata {
            metadata: Metadata { correlation: "c".into(), ..Metadata::default() },
            fingerprint: Some("f".into()),
        },
        occurred_at: at(0),
    }
}

fn entry(stream: &str, command: u128, events: i32) -> Entry {
    let command_id = id(command);
    Entry { command_id, events: (0..events).map(|o| event(stream, command_id, o)).collect() }
}

pub(crate) fn chain(stream: &str, expected: i64, entries: &[(u128, i32)]) -> Chain {
    let entries = entries.iter().map(|(c, n)| entry(stream, *c, *n)).collect();
    Chain { stream: stream.into(), expected, entries }
}

async fn verdicts(log: &Log, chain: Chain) -> Vec<Verdict> {
    log.append(chain).await.unwrap().verdicts
}

#[tokio::test]
async fn what_is_appended_reads_back_as_it_was_sent() {
    let log = open(&fresh_database().await).await;
    let outcome = log.append(chain("till-1", 0, &[(1, 2), (2, 1)])).await.unwrap();
    assert_eq!(
        outcome.verdicts,
        [Verdict::Ok { version: 1, offset: 0 }, Verdict::Ok { version: 3, offset: 2 },]
    );
    let read = log.read_stream("till-1", 0, 10).await.unwrap();
    assert_eq!(read.len(), 3);
    assert_eq!(read[1].event_id, event_id("till-1", id(1), 1));
    assert_eq!(read[1].payload, r#"{"amount": 1}"#);
    assert_eq!((read[2].command_id, read[2].ordinal, read[2].version), (id(2), 0, 3));
    assert_eq!(read[0].metadata.correlation, "c");
    assert_eq!(read[2].position().to_string(), format!("shop/{}@1:2", outcome.partition));
    let partition = log.read_partition(outcome.partition, 1, 10).await.unwrap();
    assert_eq!(partition, read[1..]);
}

#[tokio::test]
async fn a_chain_falls_as_a_whole_and_says_why() {
    let log = open(&fresh_database().await).await;
    verdicts(&log, chain("till-1", 0, &[(1, 2)])).await;
    let conflict = verdicts(&log, chain("till-1", 1, &[(2, 1), (3, 1)])).await;
    assert_eq!(conflict, [Verdict::Conflict { actual: 2 }, Verdict::Conflict { actual: 2 }]);
    let again = verdicts(&log, chain("till-1", 2, &[(4, 1), (1, 2), (5, 0)])).await;
    let already =
        Verdict::Already { version: 1, offset: 0, events: 2, fingerprint: Some("f".into()) };
    assert_eq!(again, [Verdict::Again, already, Verdict::Again]);
    assert_eq!(log.read_stream("till-1", 0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_repeat_is_told_before_the_version_is_checked() {
    let log = open(&fresh_database().await).await;
    verdicts(&log, chain("till-1", 0, &[(1, 1)])).await;
    verdicts(&log, chain("till-1", 1, &[(2, 3)])).await;
    for expected in [0, 1, 4, 9] {
        let repeat = verdicts(&log, chain("till-1", expected, &[(2, 3)])).await;
        let Verdict::Already { version, offset, events, .. } = &repeat[0] else {
            panic!("{repeat:?}")
        };
        assert_eq!((*version, *offset, *events), (2, 1, 3), "expected {expected}");
    }
}

#[tokio::test]
async fn a_command_without_events_checks_the_version() {
    let log = open(&fresh_database().await).await;
    verdicts(&log, chain("till-1", 0, &[(1, 1)])).await;
    let passed = verdicts(&log, chain("till-1", 1, &[(2, 0)])).await;
    assert!(matches!(passed[..], [Verdict::Ok { .. }]));
    let fell = verdicts(&log, chain("till-1", 0, &[(2, 0)])).await;
    assert_eq!(fell, [Verdict::Conflict { actual: 1 }]);
    let seen = verdicts(&log, chain("till-1", 1, &[(1, 0)])).await;
    assert!(matches!(seen[..], [Verdict::Already { version: 1, .. }]));
}

#[tokio::test]
async fn one_chain_that_falls_takes_no_other_with_it() {
    let database = fresh_database().await;
    let mut one_lane = settings(&database);
    one_lane.lanes = 1;
    let log = Log::open(one_lane).await.unwrap();
    verdicts(&log, chain("till-0", 0, &[(1, 1)])).await;
    // All are queued before the lane takes any: one call.
    let chains = (0..20).map(|i| log.append(chain(&format!("till-{i}"), 0, &[(100 + i, 2)])));
    let outcomes = futures_util::future::join_all(chains).await;
    for (outcome, i) in outcomes.into_iter().zip(0..) {
        let verdicts = outcome.unwrap().verdicts;
        assert_eq!(matches!(verdicts[..], [Verdict::Ok { .. }]), i > 0, "{i}: {verdicts:?}");
    }
    let read = log.read_stream("till-7", 0, 10).await.unwrap();
    assert_eq!(read.iter().map(|e| e.version).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn offsets_have_no_hole_and_recorded_at_never_runs_backwards() {
    let database = fresh_database().await;
    let logs = [open(&database).await, open(&database).await];
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_u128 {
        let log = logs[usize::try_from(writer % 2).unwrap()].clone();
        writers.spawn(async move {
            for i in 0..60_u128 {
                // Half of the streams are fought for, so some chains fall.
                let stream = format!("till-{}", if i % 2 == 0 { i } else { writer * 1_000 + i });
                let count = i32::try_from(i % 3).unwrap();
                log.append(chain(&stream, 0, &[(writer * 1_000 + i, count)])).await.unwrap();
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let mut streams: BTreeMap<String, i64> = BTreeMap::new();
    for partition in 0..logs[0].partitions() {
        let events = logs[0].read_partition(partition, 0, 10_000).await.unwrap();
        assert!(events.iter().zip(0..).all(|(event, offset)| event.offset == offset));
        assert!(events.is_sorted_by_key(|event| event.recorded_at));
        for event in events {
            assert_eq!(event.partition, logs[0].partition_of(&event.stream));
            let version = streams.entry(event.stream).or_default();
            *version += 1;
            assert_eq!(event.version, *version);
        }
    }
    assert!(streams.len() > 100);
}

#[tokio::test]
async fn only_the_event_that_postgres_refuses_fails() {
    let database = fresh_database().await;
    let mut one_lane = settings(&database);
    one_lane.lanes = 1;
    let log = Log::open(one_lane).await.unwrap();
    let chains = (0..30_u128).map(|i| {
        let mut chain = chain(&format!("till-{i}"), 0, &[(i, 1)]);
        if i == 17 {
            chain.entries[0].events[0].payload = "no json".into();
        }
        log.append(chain)
    });
    let outcomes = futures_util::future::join_all(chains).await;
    for (outcome, i) in outcomes.into_iter().zip(0..) {
        assert_eq!(matches!(outcome, Err(AppendError::Data(_))), i == 17, "{i}: {outcome:?}");
    }
}

/// A sequence counts the calls: it goes on though what counted is rolled back.
const COUNT_CALLS: &str = "create sequence shop.calls; \
     create function shop.count_call() returns trigger language plpgsql as \
       'begin perform nextval(''shop.calls''); return null; end'; \
     create trigger count_call before insert on shop.event \
       for each statement execute function shop.count_call(); \
     alter table shop.event add check (payload::text <> '\"poison\"')";

#[tokio::test]
async fn of_500_events_in_a_batch_the_poisonous_one_fails_alone_in_few_calls() {
    let database = fresh_database().await;
    let log = Log::open(LogSettings { lanes: 1, ..settings(&database) }).await.unwrap();
    let mut admin = database.connect("tests").await.unwrap();
    admin.batch_execute(COUNT_CALLS).await.unwrap();
    // While the lane waits for this one, all others queue.
    let hold = admin.transaction().await.unwrap();
    hold.execute("select from shop.log_partition for update", &[]).await.unwrap();
    let first = tokio::spawn({
        let log = log.clone();
        async move { verdicts(&log, chain("till-first", 0, &[(1_000, 1)])).await }
    });
    let look = database.connect("tests").await.unwrap();
    eventually("the lane waits", async || {
        let sql = "select count(*) = 1 from pg_stat_activity where datname = current_database() \
             and application_name like 'daybook lane%' and wait_event_type = 'Lock'";
        look.query_one(sql, &[]).await.unwrap().get(0)
    })
    .await;
    let asked = AtomicUsize::new(0);
    let appends = (0..500_u128).map(async |number| {
        let mut chain = chain(&format!("till-{number}"), 0, &[(number, 1)]);
        if number == 317 {
            chain.entries[0].events[0].payload = "\"poison\"".into();
        }
        asked.fetch_add(1, Ordering::Relaxed);
        log.append(chain).await
    });
    let releasing = async {
        eventually("all are asked for", async || asked.load(Ordering::Relaxed) == 500).await;
        hold.rollback().await.unwrap();
    };
    let (outcomes, ()) = tokio::join!(futures_util::future::join_all(appends), releasing);
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let refused = matches!(&outcome, Err(AppendError::Data(why)) if why.contains("check"));
        let acted = matches!(&outcome, Ok(it) if matches!(it.verdicts[..], [Verdict::Ok { .. }]));
        assert!(if number == 317 { refused } else { acted }, "{number}: {outcome:?}");
    }
    assert_eq!(first.await.unwrap().len(), 1);
    assert_eq!(log.heads().await.unwrap().iter().sum::<i64>(), 500);
    // The first one; then one for all, and two for each of the nine times that 500 can be halved.
    let calls: i64 = look.query_one("select last_value from shop.calls", &[]).await.unwrap().get(0);
    assert!(calls <= 1 + 1 + 2 * 9, "{calls}");
}

#[tokio::test]
async fn metadata_that_postgres_could_not_read_again_is_refused() {
    let log = open(&fresh_database().await).await;
    let mut nul = chain("till-1", 0, &[(1, 1)]);
    nul.entries[0].events[0].metadata.metadata.correlation = "a\0b".into();
    assert!(matches!(log.append(nul).await, Err(AppendError::Data(_))));
    assert_eq!(log.heads().await.unwrap(), [0; 4]);
}

#[tokio::test]
async fn a_stream_whose_name_no_index_takes_fails_alone() {
    let database = fresh_database().await;
    let mut one_lane = settings(&database);
    one_lane.lanes = 1;
    let log = Log::open(one_lane).await.unwrap();
    // Random, because an index compresses.
    let name: String = (0..200).map(|i| event_id("x", id(i), 0).simple().to_string()).collect();
    let (long, short) =
        tokio::join!(log.append(chain(&name, 0, &[(1, 1)])), log.append(chain("a", 0, &[(2, 1)])));
    assert!(matches!(long, Err(AppendError::Data(_))), "{long:?}");
    assert!(matches!(short.unwrap().verdicts[..], [Verdict::Ok { .. }]));
}

#[tokio::test]
async fn an_event_larger_than_the_topic_takes_is_refused_before_it_is_sent() {
    let log = open(&fresh_database().await).await;
    let mut large = chain("till-1", 0, &[(1, 1)]);
    large.entries[0].events[0].payload = format!("\"{}\"", "x".repeat(1_000_000));
    assert!(matches!(log.append(large).await, Err(AppendError::TooLarge { .. })));
}

#[tokio::test]
async fn an_append_whose_connection_is_cut_acts_once() {
    let database = fresh_database().await;
    let log = open(&database).await;
    let admin = database.connect("tests").await.unwrap();
    let cutting = tokio::spawn(async move {
        for _ in 0..20 {
            let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
                 where datname = current_database() and application_name like 'daybook lane%'";
            admin.execute(cut, &[]).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    for i in 0..200_u128 {
        let chain = chain(&format!("till-{i}"), 0, &[(i, 2)]);
        let verdicts = verdicts(&log, chain).await;
        let acted = matches!(verdicts[..], [Verdict::Ok { .. } | Verdict::Already { .. }]);
        assert!(acted, "{i}: {verdicts:?}");
    }
    cutting.await.unwrap();
    for i in 0..200 {
        assert_eq!(log.read_stream(&format!("till-{i}"), 0, 10).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn the_log_is_append_only_and_a_service_may_do_no_more_than_append() {
    let database = fresh_database().await;
    let log = open(&database).await;
    verdicts(&log, chain("till-1", 0, &[(1, 1)])).await;
    let owner = database.connect("tests").await.unwrap();
    let service = log.database().connect("tests").await.unwrap();
    for statement in
        ["update shop.event set type = 'x'", "delete from shop.event", "truncate shop.event"]
    {
        let refused = owner.batch_execute(statement).await.unwrap_err();
        assert!(refused.to_string().contains("db error"), "{statement}");
        assert_eq!(refused.code().unwrap().code(), "23001", "{statement}");
        let denied = service.batch_execute(statement).await.unwrap_err();
        assert_eq!(denied.code().unwrap().code(), "42501", "{statement}");
    }
    for statement in ["insert into shop.log_partition values (99, 1)", "drop table shop.event"] {
        let denied = service.batch_execute(statement).await.unwrap_err();
        assert_eq!(denied.code().unwrap().code(), "42501", "{statement}");
    }
}

#[tokio::test]
async fn migrating_again_and_by_several_processes_at_once_changes_nothing() {
    let database = fresh_database().await;
    let all = (0..4).map(|_| migrate(&database, "shop", PARTITIONS));
    for migrated in futures_util::future::join_all(all).await {
        migrated.map_err(|error| format!("{error:?}")).unwrap();
    }
    let other = migrate(&database, "shop", PARTITIONS + 1).await.unwrap_err();
    assert!(other.to_string().contains("set it back to 4"), "{other}");
    assert!(migrate(&database, "Shop; drop", 4).await.is_err());
}

#[tokio::test]
async fn closing_appends_what_is_queued() {
    let database = fresh_database().await;
    let log = open(&database).await;
    let mut queued = tokio::task::JoinSet::new();
    for i in 0..50_u128 {
        let log = log.clone();
        queued.spawn(async move { log.append(chain(&format!("till-{i}"), 0, &[(i, 1)])).await });
    }
    tokio::task::yield_now().await;
    log.close().await;
    let mut acknowledged = 0_i64;
    while let Some(ended) = queued.join_next().await {
        acknowledged += i64::from(ended.unwrap().is_ok());
    }
    let stored: i64 = open(&database).await.heads().await.unwrap().iter().sum();
    assert_eq!(stored, acknowledged);
}

#[tokio::test]
async fn an_epoch_opened_by_hand_is_the_one_that_running_writers_go_on_with() {
    let database = fresh_database().await;
    let log = open(&database).await;
    verdicts(&log, chain("till-1", 0, &[(1, 1)])).await;
    event_store::open_epoch(&database, "shop").await.unwrap();
    let stale = log.append(chain("till-1", 1, &[(2, 1)])).await;
    assert!(matches!(stale, Err(AppendError::Epoch)), "{stale:?}");
    verdicts(&log, chain("till-1", 1, &[(2, 1)])).await;
    let read = log.read_stream("till-1", 0, 10).await.unwrap();
    assert_eq!(
        read.iter().map(|event| (event.epoch, event.offset)).collect::<Vec<_>>(),
        [(1, 0), (2, 1)]
    );
}
