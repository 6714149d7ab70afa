//! Kafka is transport and never truth: the shop without one, with one that comes and goes, and with one
//! that forgot everything.

use crate::kafka_copy::equals_the_logs;
use crate::shop::{audit, eventually, order, sell, settled};
use crate::support::{Daybook, World};
use daybook::embedded::{Java, Kafka, KafkaSettings};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn orders_are_placed_and_closed_without_any_kafka() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 4).await;
    for _ in 0..3 {
        flows(&daybook).await;
    }
    daybook.command("/v1/orders", &order(&["85123A"], "pm_card_chargeDeclined")).await;
    // What it had reserved is there again.
    settled(&world, 4).await;
    for _ in 0..2 {
        daybook.command("/v1/orders", &order(&["85123A"], "pm_card_visa")).await;
    }
    settled(&world, 6).await;
    audit(&world).await;
    let sold_out = |stock: &serde_json::Value| stock["on_hand"] == 1 && stock["reserved"] == 1;
    daybook.until("the last one is reserved", "/v1/stock/85123A", sold_out).await;
    assert_eq!(daybook.metric("daybook_feed_kafka").await, None, "there is no Kafka");
    daybook.stop().await;
}

#[tokio::test]
async fn a_kafka_that_crashes_or_stops_for_a_while_is_not_missed() {
    let (world, mut private) = with_private_kafka().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    flows(&daybook).await;
    fed_by_kafka(&daybook, true).await;
    for crash in [true, false] {
        private.end(crash).await;
        for _ in 0..5 {
            flows(&daybook).await;
        }
        fed_by_kafka(&daybook, false).await;
        flows(&daybook).await;
        private.start().await;
        flows(&daybook).await;
        equals_the_logs(&world).await;
        fed_by_kafka(&daybook, true).await;
        flows(&daybook).await;
    }
    equals_the_logs(&world).await;
    audit(&world).await;
    daybook.stop().await;
}

#[tokio::test]
async fn a_kafka_whose_data_are_deleted_is_filled_again_from_the_log() {
    let (world, mut private) = with_private_kafka().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    flows(&daybook).await;
    equals_the_logs(&world).await;
    private.end(true).await;
    flows(&daybook).await;
    Kafka::wipe(&private.settings).unwrap();
    private.start().await;
    for _ in 0..3 {
        flows(&daybook).await;
    }
    equals_the_logs(&world).await;
    fed_by_kafka(&daybook, true).await;
    flows(&daybook).await;
    equals_the_logs(&world).await;
    audit(&world).await;
    daybook.stop().await;
}

/// What is under way to a Kafka that is gone is sent by whoever relays next.
#[tokio::test]
async fn a_stop_does_not_wait_for_a_kafka_that_crashed() {
    let (world, mut private) = with_private_kafka().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    flows(&daybook).await;
    fed_by_kafka(&daybook, true).await;
    private.end(true).await;
    flows(&daybook).await;
    let began = Instant::now();
    daybook.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());

    private.start().await;
    let daybook = world.start().await;
    equals_the_logs(&world).await;
    daybook.stop().await;
}

/// An order from placed to closed, as its customer sees it.
async fn flows(daybook: &Daybook) {
    let placed = daybook.command("/v1/orders", &order(&["85123A"], "pm_card_visa")).await;
    let id = placed["stream"].as_str().unwrap().trim_start_matches("order-").to_owned();
    let path = format!("/v1/orders/{id}");
    daybook.until("it is confirmed", &path, |order| order["status"] == "confirmed").await;
    daybook.command(&format!("{path}/ship"), &json!({})).await;
    // The view follows two logs, and either may be ahead.
    let closed = |o: &Value| o["status"] == "closed" && o["payment_status"] == "captured";
    daybook.until("it is closed and paid", &path, closed).await;
}

pub(crate) async fn fed_by_kafka(daybook: &Daybook, expected: bool) {
    eventually("who feeds the followers", async || {
        let fed = daybook.metric("daybook_feed_kafka").await;
        (fed == Some(f64::from(u8::from(expected)))).then_some(()).ok_or_else(|| format!("{fed:?}"))
    })
    .await;
}

/// A Kafka that nobody else uses, so that it may be mistreated.
struct Private {
    settings: KafkaSettings,
    running: Option<Kafka>,
}

impl Private {
    async fn start(&mut self) {
        let kafka = Kafka::start(&self.settings).await.unwrap();
        // The address is known to those who wait for it to come back.
        self.settings.port = kafka.port();
        self.running = Some(kafka);
    }

    async fn end(&mut self, crash: bool) {
        let kafka = self.running.take().expect("it runs");
        if crash { kafka.kill().await } else { kafka.stop().await }
    }
}

async fn with_private_kafka() -> (World, Private) {
    let mut world = World::new().await;
    let java = Java::find(None).expect("Java and Kafka's jars; run `make setup`");
    let data_dir = world.folder.path().join("kafka");
    let settings = KafkaSettings { data_dir, port: 0, java, leashed: true };
    let mut private = Private { settings, running: None };
    private.start().await;
    world.brokers = private.running.as_ref().map(Kafka::brokers);
    (world, private)
}
