//! An append that has taken its place and does not commit: whoever asks the program, and however, is shown
//! nothing behind it. Who follows for ever is in `event-store/tests/it/gap.rs`.

use crate::shop::eventually;
use crate::support::{Daybook, World};
use event_store::{Metadata, event_id, partition_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;
use tokio::process::Child;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

const HELD: &str = "HELD";
const PARTITIONS: u32 = 8;

/// The partition of a SKU's stock.
fn partition(sku: &str) -> i32 {
    partition_of(&format!("stock-{sku}"), PARTITIONS)
}

/// SKUs whose stock lies with the one that is held, or does not.
fn skus(with_held: bool) -> impl Iterator<Item = String> {
    let all = (0..).map(|number| format!("SKU{number}"));
    all.filter(move |sku| (partition(sku) == partition(HELD)) == with_held)
}

async fn receive(daybook: &Daybook, sku: &str) {
    daybook.command(&format!("/v1/stock/{sku}/receive"), &json!({"quantity": 1})).await;
}

/// Calls the append function in a transaction that goes on; returns the place that was taken.
async fn take_a_place(transaction: &Transaction<'_>, version: i64) -> i64 {
    let (stream, command) = (format!("stock-{HELD}"), Uuid::from_u128(1));
    let (event, at) = (event_id(&stream, command, 0), partition(HELD));
    let metadata = serde_json::to_string(&Metadata::default()).unwrap();
    let append = format!(
        "select bases[1] from inventory.append(array[{at}], array[1], array['{stream}'], \
         array[{}::bigint], array['{command}'::uuid], array[1], null, null, null, null, null, null, \
         array[0::bigint], array['{event}'::uuid], array['stock.received'], array[1], \
         array['{{\"quantity\": 1}}'::json], array['{metadata}'::json], array[clock_timestamp()])",
        version - 1
    );
    transaction.query_one(&append, &[]).await.unwrap().get(0)
}

/// The offsets that are shown of each partition of the log of stock.
type Shown = BTreeMap<i32, Vec<i64>>;

/// What lines of `daybook log`, or items of `/v1/log`, say of where events are.
fn shown(events: impl IntoIterator<Item = Value>) -> Shown {
    let mut shown = Shown::new();
    for event in events {
        let position: event_store::Position = event["position"].as_str().unwrap().parse().unwrap();
        shown.entry(position.partition).or_default().push(position.offset);
    }
    shown
}

fn lines(text: &[u8]) -> impl Iterator<Item = Value> {
    let whole = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    whole.map(|line| serde_json::from_slice(line).unwrap())
}

struct Readers<'a> {
    world: &'a World,
    daybook: &'a Daybook,
    sql: Client,
    following: Child,
}

impl<'a> Readers<'a> {
    async fn start(world: &'a World, daybook: &'a Daybook) -> Self {
        let followed = File::create(world.folder.path().join("followed")).unwrap();
        let mut follow = world.command("log inventory --follow");
        let following = follow.stdout(followed).spawn().unwrap();
        Readers { world, daybook, sql: world.sql().await, following }
    }

    /// What can be seen of the log: all of it up to these heads, in order.
    async fn log(&self) -> Shown {
        let sql = "select partition, max(log_offset) from inventory.event group by 1";
        let rows = self.sql.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), (0..=row.get(1)).collect())).collect()
    }

    /// Each reader shows just what can be seen of the log, and of no partition a later event without all
    /// that came before it.
    async fn are_level(&self, on_hand: i64, generation: i32) {
        let expected = self.log().await;
        let mut listed = Vec::new();
        for partition in 0..PARTITIONS {
            listed.extend(self.daybook.all(&format!("/v1/log/inventory/{partition}")).await);
        }
        assert_eq!(shown(listed), expected, "/v1/log");
        let printed = self.world.command("log inventory").stderr(Stdio::inherit()).output().await;
        assert_eq!(shown(lines(&printed.unwrap().stdout)), expected, "daybook log");
        eventually("daybook log --follow is level", async || {
            let followed = std::fs::read(self.world.folder.path().join("followed")).unwrap();
            let followed = shown(lines(&followed));
            if followed == expected { Ok(()) } else { Err(format!("{followed:?} {expected:?}")) }
        })
        .await;
        let rebuilt = self.world.command("rebuild").arg("stock").output().await.unwrap();
        assert!(rebuilt.status.success(), "{rebuilt:?}");
        assert_eq!(self.posted(generation).await, expected, "a rebuild");
        let path = format!("/v1/stock/{HELD}");
        let level = |stock: &Value| stock["on_hand"] == on_hand;
        self.daybook.until("the query shows what can be seen", &path, level).await;
    }

    /// How far a generation has come.
    async fn posted(&self, generation: i32) -> Shown {
        let sql = "select partition, next_offset from inventory_read.checkpoint \
             where follower = 'stock' and generation = $1 and next_offset > 0";
        let rows = self.sql.query(sql, &[&generation]).await.unwrap();
        rows.iter().map(|row| (row.get(0), (0..row.get(1)).collect())).collect()
    }

    async fn stop(mut self) {
        self.following.kill().await.unwrap();
    }
}

/// The database's clock, by which everything is recorded.
async fn now(sql: &Client) -> String {
    let now =
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    sql.query_one(now, &[]).await.unwrap().get(0)
}

/// Who waits in the database, by a part of his question.
async fn wait_for_the_partition(sql: &Client, question: &str, so_many: i64) {
    let waits = "select count(*) from pg_stat_activity where datname = current_database() \
         and wait_event_type = 'Lock' and query like '%' || $1 || '%'";
    eventually("they wait for the append", async || {
        let waiting: i64 = sql.query_one(waits, &[&question]).await.unwrap().get(0);
        if waiting == so_many { Ok(()) } else { Err(waiting.to_string()) }
    })
    .await;
}

/// What was asked of an instant while an append was held open is answered the same ever after, also where the append
/// read its clock before that instant.
async fn an_answer_about_the_past_stays_what_it_is(committed: bool) {
    let mut world = World::new().await.without_kafka();
    world.flags = vec!["--lanes".into(), PARTITIONS.to_string()];
    let daybook = world.start().await;
    let (mut holder, sql) = (world.sql().await, world.sql().await);
    let (beside, behind) = (skus(false).next().unwrap(), skus(true).next().unwrap());
    for sku in [HELD, &beside, &behind] {
        receive(&daybook, sku).await;
    }
    let before = now(&sql).await;
    receive(&daybook, HELD).await;
    let transaction = holder.transaction().await.unwrap();
    take_a_place(&transaction, 3).await;
    receive(&daybook, &beside).await;
    let meanwhile = now(&sql).await;
    receive(&daybook, &beside).await;
    let ask = async |sku: &str, at: &str| {
        let (status, level) = daybook.get(&format!("/v1/stock/{sku}?as_of={at}")).await;
        assert_eq!(status, 200, "{sku} at {at}: {level}");
        level
    };
    // Nobody waits for what lies elsewhere, or is closed already.
    let passed = (ask(&beside, &meanwhile).await, ask(HELD, &before).await);
    assert_eq!((&passed.0["on_hand"], &passed.1["on_hand"]), (&json!(2), &json!(1)));
    let waits = async { tokio::join!(ask(HELD, &meanwhile), ask(&behind, &meanwhile)) };
    let goes_on = async {
        wait_for_the_partition(&sql, "turn", 2).await;
        if committed {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    };
    let (held, ()) = tokio::join!(waits, goes_on);
    let on_hand = if committed { 3 } else { 2 };
    assert_eq!((&held.0["on_hand"], &held.1["on_hand"]), (&json!(on_hand), &json!(1)));
    for sku in [HELD, &beside, &behind] {
        receive(&daybook, sku).await;
    }
    let path = format!("/v1/stock/{HELD}");
    daybook.until("it is posted", &path, |stock| stock["on_hand"] == on_hand + 1).await;
    let again = (ask(&beside, &meanwhile).await, ask(HELD, &before).await);
    assert_eq!(again, passed);
    assert_eq!((ask(HELD, &meanwhile).await, ask(&behind, &meanwhile).await), held);
    daybook.stop().await;
}

#[tokio::test]
async fn an_answer_about_the_past_stays_what_it_is_when_an_append_commits_later() {
    an_answer_about_the_past_stays_what_it_is(true).await;
}

#[tokio::test]
async fn an_answer_about_the_past_stays_what_it_is_when_an_append_is_rolled_back_later() {
    an_answer_about_the_past_stays_what_it_is(false).await;
}

async fn whoever_asks_is_shown_nothing_behind_it_until_it_is(committed: bool) {
    let mut world = World::new().await.without_kafka();
    // So that one that waits holds up no other partition.
    world.flags = vec!["--lanes".into(), PARTITIONS.to_string()];
    let daybook = world.start().await;
    receive(&daybook, HELD).await;
    let readers = Readers::start(&world, &daybook).await;
    readers.are_level(1, 2).await;

    let mut holder = world.sql().await;
    let transaction = holder.transaction().await.unwrap();
    let place = take_a_place(&transaction, 2).await;
    assert_eq!(place, 1);
    let behind: Vec<String> = skus(true).take(4).collect();
    let behind = futures_util::future::join_all(behind.iter().map(|sku| receive(&daybook, sku)));
    let meanwhile = async {
        let waits = "select count(*) from pg_stat_activity where datname = current_database() \
             and application_name = 'daybook lane inventory' and wait_event_type = 'Lock'";
        eventually("those behind it wait for the partition", async || {
            let waiting: i64 = readers.sql.query_one(waits, &[]).await.unwrap().get(0);
            if waiting == 1 { Ok(()) } else { Err(waiting.to_string()) }
        })
        .await;
        for sku in skus(false).take(20) {
            receive(&daybook, &sku).await;
        }
        readers.are_level(1, 3).await;
        assert_eq!(readers.log().await[&partition(HELD)], [0]);
        if committed {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    };
    tokio::join!(behind, meanwhile);
    let held = usize::from(committed);
    assert_eq!(readers.log().await[&partition(HELD)].len(), 1 + held + 4);
    readers.are_level(if committed { 2 } else { 1 }, 4).await;
    readers.stop().await;
    daybook.stop().await;
}

#[tokio::test]
async fn whoever_asks_is_shown_nothing_behind_an_append_until_it_commits() {
    whoever_asks_is_shown_nothing_behind_it_until_it_is(true).await;
}

#[tokio::test]
async fn whoever_asks_is_shown_nothing_behind_an_append_until_it_is_rolled_back() {
    whoever_asks_is_shown_nothing_behind_it_until_it_is(false).await;
}
