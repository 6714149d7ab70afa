//! The same vector of positions gives the same rows, whatever the interleaving, and those rows are what SQL makes of the
//! events up to there that shares nothing with the folds.

use crate::independent::{DIFFER, READ_MODELS};
use crate::stories::{
    authorise, cancel, gbp, order_id, pieces, place, reason, sku, start, succeeded,
};
use crate::support::{PARTITIONS, Process, SERVICES, at, fresh_database};
use decider::Decider;
use domain::catalogue::product::{self, Product};
use domain::checkout::checkout::{self, Checkout, Deadline};
use domain::inventory::stock::{self, Stock};
use domain::orders::order::{self, CancelReason, Order};
use domain::payments::payment::{self, Operation, Outcome, Payment};
use domain::values::StockChange;
use event_store::follow::Follower;
use event_store::{Metadata, Recorded, encode, partition_of};
use projections::{Place, Posting, all};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

type Partition = (&'static str, i32);
type Logs = BTreeMap<Partition, Vec<Arc<Recorded>>>;

/// Throws the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn picks<T: Clone>(&mut self, from: &[T], most: usize) -> Vec<T> {
        (0..=self.below(most)).map(|_| self.pick(from)).collect()
    }
}

/// The events that these commands make of a stream; what is rejected makes none.
fn told<D: Decider>(stream: String, commands: Vec<D::Command>) -> Stream {
    let (mut state, mut events) = (D::State::default(), Vec::new());
    for command in commands {
        for event in D::decide(&state, &command).unwrap_or_default() {
            let (event_type, _, payload) = encode(&event);
            events.push((event_type, payload));
            state = D::evolve(state, &event);
        }
    }
    Stream { name: stream, events }
}

struct Stream {
    name: String,
    events: Vec<(&'static str, String)>,
}

fn an_order(dice: &mut Dice, number: u128) -> Stream {
    let lines = dice.picks(&[("A1", 2, 250), ("B2", 1, 195), ("A1", 3, 240), ("C3", 9, 1)], 4);
    let customer = dice.pick(&[None, Some("c1"), Some("c2")]);
    let mut commands = vec![place(number, &lines, customer, dice.pick(&["GB", "IE"]))];
    commands.extend(dice.picks(
        &[
            order::Command::Confirm {},
            order::Command::Confirm {},
            cancel(CancelReason::OutOfStock),
            cancel(CancelReason::CustomerRequest),
            order::Command::Ship {},
            order::Command::Close {},
        ],
        6,
    ));
    told::<Order>(order::stream(order_id(number)), commands)
}

fn a_payment(dice: &mut Dice, number: u128) -> Stream {
    let failed = |operation, attempt| {
        let outcome = Outcome::Failed { reason: reason("expired") };
        payment::Command::Answer { operation, attempt, outcome }
    };
    let mut commands = vec![authorise(500)];
    commands.extend(dice.picks(
        &[
            succeeded(Operation::Authorisation),
            succeeded(Operation::Authorisation),
            failed(Operation::Authorisation, 1),
            payment::Command::Capture { amount: gbp(500) },
            succeeded(Operation::Capture),
            failed(Operation::Capture, 1),
            payment::Command::Void {},
            succeeded(Operation::Void),
            payment::Command::Refund { amount: None },
            succeeded(Operation::Refund),
        ],
        14,
    ));
    told::<Payment>(payment::stream(order_id(number)), commands)
}

fn a_stock(dice: &mut Dice, number: u128) -> Stream {
    let orders = [order_id(1), order_id(2)];
    let commands = (0..dice.below(12)).map(|_| {
        let order = dice.pick(&orders);
        let quantity = pieces(1 + i64::try_from(dice.below(5)).unwrap());
        let change = StockChange::try_from(-1).unwrap();
        match dice.below(5) {
            0 => stock::Command::Receive { quantity },
            1 => stock::Command::Adjust { change, reason: reason("broken") },
            2 => stock::Command::Reserve { order, quantity },
            3 => stock::Command::Release { order },
            _ => stock::Command::Ship { order },
        }
    });
    let commands = commands.collect();
    told::<Stock>(stock::stream(&sku(&format!("S{number}"))), commands)
}

fn a_product(dice: &mut Dice, number: u128) -> Stream {
    let sku = sku(&format!("P{number}"));
    let name = |text: &str| text.parse().unwrap();
    let mut commands =
        vec![product::Command::List { sku: sku.clone(), name: name("White heart"), price: gbp(1) }];
    commands.extend(dice.picks(
        &[
            product::Command::Reprice { price: gbp(2) },
            product::Command::Reprice { price: gbp(3) },
            product::Command::Rename { name: name("Red heart") },
            product::Command::Rename { name: name("White holder") },
            product::Command::Discontinue {},
        ],
        6,
    ));
    told::<Product>(product::stream(&sku), commands)
}

fn a_checkout(dice: &mut Dice, number: u128) -> Stream {
    let remark = |text: &str| text.parse().unwrap();
    let mut commands = vec![start(number)];
    commands.extend(dice.picks(
        &[
            checkout::Command::StockReserved { sku: sku("A1") },
            checkout::Command::StockRefused { sku: sku("A1"), reason: reason("out-of-stock") },
            checkout::Command::PaymentAuthorised {},
            checkout::Command::OrderConfirmed {},
            checkout::Command::OrderCancelled { reason: reason("other") },
            checkout::Command::StockReleased { sku: sku("A1") },
            checkout::Command::PaymentVoided {},
            checkout::Command::OrderShipped {},
            checkout::Command::CaptureFailed { reason: reason("expired") },
            checkout::Command::VoidFailed { reason: reason("unknown") },
            checkout::Command::StockShipped { sku: sku("A1") },
            checkout::Command::DeadlinePassed { deadline: Deadline::Finish },
            checkout::Command::Retry { reason: remark("once more"), by: None },
            checkout::Command::Cancel { reason: remark("enough"), by: None },
            checkout::Command::Settle {
                reason: remark("seen to"),
                by: Some("ann".parse().unwrap()),
            },
        ],
        30,
    ));
    told::<Checkout>(checkout::stream(order_id(number)), commands)
}

type Maker = fn(&mut Dice, u128) -> Stream;

/// The logs of a shop whose streams were told something, in an order that the dice decide.
fn story(dice: &mut Dice) -> Logs {
    let makers: [(&str, Maker); 5] = [
        ("orders", an_order),
        ("payments", a_payment),
        ("inventory", a_stock),
        ("catalogue", a_product),
        ("checkout", a_checkout),
    ];
    let mut streams = Vec::new();
    for (service, make) in makers {
        for number in 1..=5 {
            streams.push((service, make(dice, number), 0));
        }
    }
    let mut logs = Logs::new();
    loop {
        streams.retain(|(_, stream, told)| *told < stream.events.len());
        if streams.is_empty() {
            return logs;
        }
        let chosen = dice.below(streams.len());
        let (service, stream, told) = &mut streams[chosen];
        let partition = partition_of(&stream.name, PARTITIONS);
        let log = logs.entry((service, partition)).or_default();
        let event = recorded(service, partition, log.len(), stream, *told, dice);
        log.push(Arc::new(event));
        *told += 1;
    }
}

fn recorded(
    service: &str,
    partition: i32,
    offset: usize,
    stream: &Stream,
    told: usize,
    dice: &mut Dice,
) -> Recorded {
    let (event_type, payload) = &stream.events[told];
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}#{told}", stream.name).as_bytes());
    Recorded {
        service: service.into(),
        partition,
        epoch: 1,
        offset: i64::try_from(offset).unwrap(),
        stream: stream.name.clone(),
        version: i64::try_from(told).unwrap() + 1,
        event_id: id,
        command_id: id,
        ordinal: 0,
        event_type: (*event_type).to_owned(),
        schema_version: 1,
        payload: payload.clone(),
        metadata: Metadata::default(),
        occurred_at: at(i64::try_from(dice.below(300_000)).unwrap()),
        recorded_at: at(i64::try_from(offset).unwrap()),
    }
}

/// Batches of one log, of a partition at a time or of several as the dice decide.
fn batches(logs: &Logs, followed: &[&str], mut dice: Option<&mut Dice>) -> Vec<Vec<Arc<Recorded>>> {
    let followed = logs.iter().filter(|((service, _), _)| followed.contains(service));
    let mut left: Vec<(&str, &[Arc<Recorded>])> =
        followed.map(|((service, _), log)| (*service, log.as_slice())).collect();
    let mut batches = Vec::new();
    while let Some(last) = left.len().checked_sub(1) {
        let chosen = dice.as_deref_mut().map_or(0, |dice| dice.below(last + 1));
        let service = left[chosen].0;
        let mut batch = Vec::new();
        for (at, (of, log)) in left.iter_mut().enumerate() {
            let size = match &mut dice {
                None if at == chosen => usize::MAX,
                Some(dice) if at == chosen => 1 + dice.below(9),
                Some(dice) if *of == service => dice.below(9),
                Some(_) | None => 0,
            };
            let (taken, rest) = log.split_at(size.min(log.len()));
            batch.extend_from_slice(taken);
            *log = rest;
        }
        left.retain(|(_, log)| !log.is_empty());
        batches.push(batch);
    }
    batches
}

/// The rows of every projection after posting the logs into a generation; with dice in any order, and some batches as a
/// rebuild posts them.
async fn rows(
    process: &Process,
    generation: i32,
    logs: &Logs,
    mut dice: Option<&mut Dice>,
) -> Vec<(String, Vec<String>)> {
    let mut rows = Vec::new();
    for projection in all() {
        let layout = projection.layout();
        let read = process.read(layout.service);
        let place = Place::new(read, generation);
        let table = |name: &&str| place.sql("{schema}.{table}_{g}").replace("{table}", name);
        let tables: Vec<String> = layout.tables.iter().map(table).collect();
        let mut posting = Posting { projection, place: place.clone(), fills: false };
        let mut client = read.pool.get().await.unwrap();
        client.batch_execute(&format!("truncate {}", tables.join(", "))).await.unwrap();
        for batch in batches(logs, layout.logs, dice.as_deref_mut()) {
            posting.fills = dice.as_mut().is_some_and(|dice| dice.below(2) == 0);
            let tx = client.transaction().await.unwrap();
            posting.apply(&tx, &batch).await.unwrap();
            tx.commit().await.unwrap();
        }
        for table in tables {
            let name = table.replace(&format!("_{generation}"), "");
            rows.push((name, process.rows(&table).await));
        }
    }
    rows
}

/// Of each partition what a follower may have seen of it: some, all, or nothing.
fn up_to_somewhere(logs: &Logs, dice: &mut Dice) -> Logs {
    let some = |(partition, log): (&Partition, &Vec<Arc<Recorded>>)| {
        (*partition, log[..dice.below(log.len() + 1)].to_vec())
    };
    logs.iter().map(some).filter(|(_, log)| !log.is_empty()).collect()
}

/// Puts it into the tables of events, instead of what is there.
async fn write(process: &Process, logs: &Logs) {
    // What is appended is never touched; these logs are no more than what is looked at.
    process.admin.batch_execute("set session_replication_role = replica").await.unwrap();
    for service in SERVICES {
        process.admin.batch_execute(&format!("truncate {service}.event")).await.unwrap();
    }
    for ((service, _), log) in logs {
        let sql = format!(
            "insert into {service}.event values \
             ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::json, $11::text::json, $12, $13)"
        );
        let insert = process.admin.prepare(&sql).await.unwrap();
        for it in log {
            let metadata = serde_json::to_string(&it.metadata).unwrap();
            let event: [&(dyn ToSql + Sync); 13] = [
                &it.partition,
                &it.offset,
                &it.stream,
                &it.version,
                &it.event_id,
                &it.command_id,
                &it.ordinal,
                &it.event_type,
                &it.schema_version,
                &it.payload,
                &metadata,
                &it.occurred_at,
                &it.recorded_at,
            ];
            process.admin.execute(&insert, &event).await.unwrap();
        }
    }
}

/// The rows of the first generation that are not what the events say, and what the events say instead.
async fn wrong(process: &Process) -> Vec<String> {
    let mut wrong = Vec::new();
    for (projection, _, sql) in READ_MODELS {
        let sql = format!("{}\n{DIFFER}", sql.replace("{g}", "1"));
        for row in process.admin.query(&sql, &[]).await.unwrap() {
            wrong.push(format!("{projection}: {}", row.get::<_, String>(0)));
        }
    }
    wrong
}

/// A process on a database of its own, with the tables of two generations of everything.
async fn two_generations() -> Process {
    let process = Process::start(&fresh_database().await).await;
    for projection in all() {
        let layout = projection.layout();
        let read = process.read(layout.service);
        let client = read.pool.get().await.unwrap();
        for generation in [1, 2] {
            let place = Place::new(read, generation);
            client.batch_execute(&place.sql(layout.create)).await.unwrap();
            client.batch_execute(&place.sql(layout.index)).await.unwrap();
        }
    }
    process
}

fn config() -> Config {
    Config { cases: 40, failure_persistence: None, ..Config::default() }
}

#[test]
fn the_rows_at_any_positions_are_what_sql_makes_of_the_events_up_to_there() {
    assert_eq!(READ_MODELS.len(), all().len());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let process = runtime.block_on(two_generations());
    let property = |(story_seed, seed): (u64, u64)| {
        let mut dice = Dice(seed);
        let logs = up_to_somewhere(&story(&mut Dice(story_seed)), &mut dice);
        runtime.block_on(async {
            write(&process, &logs).await;
            rows(&process, 1, &logs, Some(&mut dice)).await;
        });
        prop_assert_eq!(runtime.block_on(wrong(&process)), Vec::<String>::new());
        Ok(())
    };
    TestRunner::new(config()).run(&(any::<u64>(), any::<u64>()), property).unwrap();
}

#[test]
fn the_same_positions_give_the_same_rows_whatever_the_interleaving() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let process = runtime.block_on(two_generations());
    let empty = RefCell::new(None::<BTreeSet<String>>);
    let property = |(story_seed, seed): (u64, u64)| {
        let logs = story(&mut Dice(story_seed));
        let whole = runtime.block_on(rows(&process, 1, &logs, None));
        let shuffled = runtime.block_on(rows(&process, 2, &logs, Some(&mut Dice(seed))));
        let none: BTreeSet<_> =
            whole.iter().filter(|it| it.1.is_empty()).map(|it| it.0.clone()).collect();
        let mut empty = empty.borrow_mut();
        *empty = Some(empty.take().map_or_else(|| none.clone(), |before| &before & &none));
        prop_assert_eq!(whole, shuffled);
        Ok(())
    };
    TestRunner::new(config()).run(&(any::<u64>(), any::<u64>()), property).unwrap();
    assert_eq!(empty.into_inner(), Some(BTreeSet::new()), "some story fills each table");
}
