//! What a stranger finds in Kafka, seen with `kcat`, which shares no code with us but librdkafka's.

use crate::shop::{SERVICES, eventually, order, pence, sell, settled};
use crate::support::{LIMIT, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A record, and what a relay must have made of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    partition: i64,
    key: String,
    payload: String,
    headers: BTreeMap<String, String>,
}

#[tokio::test]
async fn the_topics_hold_every_event_of_the_logs_as_cloud_events() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 3).await;
    // What JSON must escape, what UTF-8 needs four bytes for, and what the log stores as it came.
    let odd = json!({"sku": "ODD", "name": "Teacup \"☕\" \\ 🫖 é", "price": pence(0)});
    daybook.command("/v1/products", &odd).await;
    let traced = daybook.http.post(format!("{}/v1/orders", daybook.url));
    let traced = traced.header("x-correlation-id", "seen-in-kafka");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = traced.header("traceparent", parent).json(&order(&["85123A"], "pm_card_visa"));
    assert_eq!(traced.send().await.unwrap().status(), 201);
    for method in ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_visa", "pm_card_visa"] {
        daybook.command("/v1/orders", &order(&["85123A"], method)).await;
    }
    settled(&world, 5).await;

    equals_the_logs(&world).await;
    let orders = consume(&world, "order-events").await;
    let placed = |record: &&Record| record.headers["ce_correlationid"] == "seen-in-kafka";
    let followed: Vec<_> = orders.iter().filter(placed).collect();
    let types: Vec<_> = followed.iter().map(|record| &*record.headers["ce_type"]).collect();
    assert_eq!(types, ["order.placed", "order.confirmed"], "one correlation for all it caused");
    assert_eq!(followed[0].headers["traceparent"], parent);
    assert!(!followed[0].headers.contains_key("ce_causationid"), "a person caused it");
    assert!(followed[1].headers.contains_key("ce_causationid"), "an event caused it");
    daybook.stop().await;
}

/// A Java client, or any that is set to murmur2, sends what belongs to a stream to the same place.
#[tokio::test]
async fn a_key_lies_in_the_partition_that_murmur2_gives() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 50).await;
    for _ in 0..25 {
        daybook.command("/v1/orders", &order(&["85123A"], "pm_card_visa")).await;
    }
    settled(&world, 25).await;
    equals_the_logs(&world).await;
    daybook.stop().await;

    let ours = places(&consume(&world, "order-events").await);
    assert_eq!(ours.len(), 25, "a stream lies in one partition");
    let partitions: std::collections::BTreeSet<_> = ours.iter().map(|(_, at)| *at).collect();
    assert!(partitions.len() > 3, "they are spread: {partitions:?}");
    let keys: Vec<String> = ours.iter().map(|(key, _)| key.clone()).collect();
    produce(&world, "order-events", &keys).await;
    let all = consume(&world, "order-events").await;
    let theirs = all.into_iter().filter(|record| record.payload == "foreign").collect::<Vec<_>>();
    assert_eq!(theirs.len(), keys.len());
    assert_eq!(places(&theirs), ours);
}

/// Each key with its partition; twice if it lies in two.
fn places(records: &[Record]) -> Vec<(String, i64)> {
    let places = records.iter().map(|record| (record.key.clone(), record.partition));
    places.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Waits until every log's topic holds the log: nothing missing, nothing else, each event as it is, in
/// order. After a failure events may have come twice; each is looked at where it came first.
pub(crate) async fn equals_the_logs(world: &World) {
    for (service, topic) in SERVICES.into_iter().zip([
        "catalogue-events",
        "order-events",
        "inventory-events",
        "payment-events",
        "checkout-events",
    ]) {
        eventually("the copy is whole", async || {
            let expected = log(world, service).await;
            let mut found = consume(world, topic).await;
            let mut seen = std::collections::BTreeSet::new();
            found.retain(|record| seen.insert(record.headers["ce_id"].clone()));
            // One partition after another; kcat tells them as they come.
            found.sort_by_key(|record| record.partition);
            if found.len() < expected.len() {
                return Err(format!("{topic}: {} of {}", found.len(), expected.len()));
            }
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{topic}");
            }
            assert_eq!(found.len(), log(world, service).await.len(), "{topic} holds more");
            Ok(())
        })
        .await;
    }
}

/// The records that a log must have become.
async fn log(world: &World, service: &str) -> Vec<Record> {
    let sql = include_str!("kafka_copy/records.sql").replace("{service}", service);
    let rows = world.sql().await.query(&sql, &[]).await.unwrap();
    let record = |row: &tokio_postgres::Row| Record {
        partition: row.get::<_, i32>(0).into(),
        key: row.get(1),
        payload: row.get(2),
        headers: serde_json::from_str(row.get(3)).unwrap(),
    };
    rows.iter().map(record).collect()
}

/// Everything in a topic, as `kcat -C` shows it.
async fn consume(world: &World, topic: &str) -> Vec<Record> {
    let output = kcat(world, topic).args(["-C", "-J", "-e", "-q", "-o", "beginning"]).output();
    let output = tokio::time::timeout(LIMIT, output).await.expect("kcat ends").unwrap();
    if !output.status.success() {
        // The broker is on its way up; whoever asks asks again.
        return Vec::new();
    }
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| record(&serde_json::from_str(line).unwrap())).collect()
}

fn record(json: &Value) -> Record {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let headers = json["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    Record {
        partition: json["partition"].as_i64().unwrap(),
        key: text(&json["key"]),
        payload: text(&json["payload"]),
        headers: headers.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
    }
}

/// Sends a record for each key, wherever librdkafka's murmur2 puts it.
async fn produce(world: &World, topic: &str, keys: &[String]) {
    let mut command = kcat(world, topic);
    command.args(["-P", "-K", "=", "-X", "topic.partitioner=murmur2"]).stdin(Stdio::piped());
    let mut kcat = command.spawn().unwrap();
    let lines: String = keys.iter().map(|key| format!("{key}=foreign\n")).collect();
    kcat.stdin.take().unwrap().write_all(lines.as_bytes()).await.unwrap();
    let ended = tokio::time::timeout(LIMIT, kcat.wait()).await.expect("kcat ends").unwrap();
    assert!(ended.success());
}

fn kcat(world: &World, topic: &str) -> Command {
    let brokers = world.brokers.as_ref().expect("a world with Kafka");
    let mut command = Command::new("kcat");
    command.args(["-b", brokers, "-t", &format!("{}{topic}", world.topic_prefix)]);
    command.kill_on_drop(true);
    command
}
