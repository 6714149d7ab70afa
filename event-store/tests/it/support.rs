//! A database of its own for each test, and a small domain to fill it.

use chrono::{DateTime, Utc};
use decider::{Decider, Due, Event, Owes, Snapshot};
use event_store::{
    Database, Envelope, Log, LogSettings, Metadata, TransactError, Transactor, migrate,
};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use uuid::Uuid;

pub(crate) const PARTITIONS: u32 = 4;

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is unset: run `make test`, or eval \"$(scripts/test-servers env)\"")
    })
}

/// A database that only this test uses, with nothing in it.
pub(crate) async fn empty_database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = Database::parse(&variable("DAYBOOK_TEST_DATABASE_URL")).unwrap();
    let since = UNIX_EPOCH.elapsed().unwrap().as_millis();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("it_{}_{}_{since}", std::process::id(), next);
    let client = server.connect("tests").await.unwrap();
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    let mut database = server;
    database.config.dbname(&name);
    database
}

/// A database with the log of a service `shop`.
pub(crate) async fn fresh_database() -> Database {
    let database = empty_database().await;
    migrate(&database, "shop", PARTITIONS).await.unwrap();
    database
}

pub(crate) fn settings(database: &Database) -> LogSettings {
    LogSettings::new("shop", PARTITIONS, database.of_service("shop"))
}

pub(crate) async fn open(database: &Database) -> Log {
    Log::open(settings(database)).await.unwrap()
}

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn envelope(command_id: Uuid) -> Envelope {
    Envelope {
        command_id,
        fingerprint: None,
        occurred_at: at(0),
        metadata: Metadata {
            correlation: "test".into(),
            causation: None,
            actor: "tests".into(),
            traceparent: None,
        },
        expected_version: None,
    }
}

/// What a failover does that loses the newest commits: the last event of each partition is gone, the
/// writers' sessions are cut, and the next one of them opens an epoch.
pub(crate) async fn lose_the_tail(database: &Database) {
    let admin = database.connect("tests").await.unwrap();
    let lost = "alter table shop.event disable trigger user; \
         delete from shop.event e using (select partition, max(log_offset) as last \
           from shop.event group by 1) t where e.partition = t.partition and e.log_offset = t.last; \
         alter table shop.event enable trigger user; \
         update shop.log_epoch set timeline = 'another'; \
         select pg_terminate_backend(pid) from pg_stat_activity \
          where datname = current_database() and application_name like 'daybook lane%'";
    admin.batch_execute(lost).await.unwrap();
}

/// Waits for a condition, generously; a test never depends on how fast it comes true.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A till: money goes in, and never more out than is in it. What is counted is owed a receipt.
pub(crate) struct Till;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct InTill {
    pub(crate) amount: u64,
    unreceipted: Vec<u64>,
    puts: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum TillCommand {
    Put { amount: u64 },
    PutTwice { amount: u64 },
    Take { amount: u64 },
    Receipted { put: u64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum TillEvent {
    #[serde(rename = "till.filled")]
    Filled { amount: u64 },
    #[serde(rename = "till.drained")]
    Drained { amount: u64 },
    #[serde(rename = "till.receipted")]
    Receipted { put: u64 },
}

impl Event for TillEvent {
    const TYPES: &'static [(&'static str, i32)] =
        &[("till.filled", 1), ("till.drained", 1), ("till.receipted", 1)];
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("only {0} in the till")]
pub(crate) struct NotEnough(pub(crate) u64);

impl Decider for Till {
    const CATEGORY: &'static str = "till";
    type State = InTill;
    type Command = TillCommand;
    type Event = TillEvent;
    type Rejection = NotEnough;

    /// Often it is not: then the append has to say so.
    fn begins(command: &TillCommand) -> bool {
        matches!(command, TillCommand::PutTwice { .. })
    }

    fn decide(state: &InTill, command: &TillCommand) -> Result<Vec<TillEvent>, NotEnough> {
        match command {
            TillCommand::Put { amount } => Ok(vec![TillEvent::Filled { amount: *amount }]),
            TillCommand::PutTwice { amount } => Ok(vec![TillEvent::Filled { amount: *amount }; 2]),
            TillCommand::Take { amount: 0 } => Ok(vec![]),
            TillCommand::Take { amount } if *amount > state.amount => Err(NotEnough(state.amount)),
            TillCommand::Take { amount } => Ok(vec![TillEvent::Drained { amount: *amount }]),
            TillCommand::Receipted { put } if state.unreceipted.contains(put) => {
                Ok(vec![TillEvent::Receipted { put: *put }])
            }
            TillCommand::Receipted { .. } => Ok(vec![]),
        }
    }

    fn evolve(mut state: InTill, event: &TillEvent) -> InTill {
        match event {
            TillEvent::Filled { amount } => {
                state.amount = state.amount.checked_add(*amount).expect("the till bursts");
                state.puts += 1;
                state.unreceipted.push(state.puts);
            }
            TillEvent::Drained { amount } => state.amount -= amount,
            TillEvent::Receipted { put } => state.unreceipted.retain(|open| open != put),
        }
        state
    }
}

impl Snapshot for Till {
    const STATE_VERSION: i32 = 3;
}

impl Owes for Till {
    type Request = u64;

    fn pending(state: &InTill) -> Vec<Due<u64>> {
        let due =
            |put: &u64| Due { key: format!("receipt:{put}"), delay: Duration::ZERO, request: *put };
        state.unreceipted.iter().map(due).collect()
    }
}

/// Takes one from `till-1`, with a command of its own for each taker, however busy it is; false if nothing was left.
pub(crate) async fn took_one(till: &Transactor<Till>, taker: u128) -> bool {
    loop {
        let take = TillCommand::Take { amount: 1 };
        match till.transact("till-1", take, envelope(id(1_000 + taker))).await {
            Err(TransactError::Busy) => {}
            Ok(_) => return true,
            Err(TransactError::Rejected { rejection: NotEnough(0), .. }) => return false,
            Err(other) => panic!("{other:?}"),
        }
    }
}
