//! Two builds of the program on one shop: the newer one writes `order.cancelled` in another version.

mod next;
mod street;

use crate::books::are_quiet;
use crate::kafka_copy::equals_the_logs;
use crate::shop::{audit, order, pence, post, sell, settled};
use crate::support::{Daybook, World, free_port};
use crate::two_processes::worked;
use event_store::partition_of;
use serde_json::{Value, json};
use street::Street;

const SKU: &str = "85123A";

/// The newer one reads what the older one writes, then the older one ends, then the newer one writes.
#[tokio::test]
async fn readers_first_a_newer_binary_takes_over_under_load_and_nobody_sees_an_error() {
    next::path().await;
    let world = World::new().await;
    let old = world.start().await;
    sell(&world, &old, SKU, 255, 100_000).await;
    let street = Street::open(&old).await;
    street.has_done(20).await;

    let new = world.spawn(next::binary().await, free_port());
    new.is_ready().await;
    street.joined_by(&new).await;
    worked(&world, true).await;
    street.has_done(20).await;
    street.moves_to(&new, old.stop()).await;
    street.has_done(40).await;
    let orders = street.close().await;

    settled(&world, orders).await;
    are_quiet(&world).await;
    audit(&world).await;
    equals_the_logs(&world).await;
    every_reader_reads_both_versions(&world, &new, orders).await;
    new.stop().await;
}

/// The newer one has another stock view: it is built while the old one answers, both answer, and the old one can be gone
/// back to.
#[tokio::test]
async fn a_newer_read_model_is_built_beside_the_old_one_and_either_may_answer() {
    next::path().await;
    let world = World::new().await;
    let old = world.start().await;
    sell(&world, &old, SKU, 255, 100).await;
    old.until("it is posted", "/v1/stock/85123A", |level| level["on_hand"] == 100).await;

    let mut rebuild = world.command_of(next::binary().await, "rebuild");
    let rebuilt = rebuild.args(["stock", "--json"]).output().await.unwrap();
    let said = String::from_utf8(rebuilt.stdout).unwrap();
    assert!(rebuilt.status.success(), "{said}{}", String::from_utf8_lossy(&rebuilt.stderr));
    let rebuilt: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let verified = &rebuilt["verified"];
    assert_eq!((&verified["by"], &verified["against"]), (&json!("replay"), &json!(1)), "{rebuilt}");
    assert_eq!(verified["shows"], "its rows come out the same each time");
    let changed = &verified["changes"]["tables"][0];
    assert_eq!((&changed["differing"], &changed["only_replayed"]), (&json!(0), &json!(["low"])));

    let new = world.spawn(next::binary().await, free_port());
    new.is_ready().await;
    receive(&new, 10).await;
    for daybook in [&old, &new] {
        daybook.until("both answer", "/v1/stock/85123A", |level| level["on_hand"] == 110).await;
    }
    new.stop().await;
    receive(&old, 5).await;
    old.until("the old one goes on", "/v1/stock/85123A", |level| level["on_hand"] == 115).await;
    let live = "select string_agg(version || ' ' || state, ', ' order by version) \
                from inventory_read.generation where projection = 'stock'";
    let live: String = world.sql().await.query_one(live, &[]).await.unwrap().get(0);
    assert_eq!(live, "1 live, 2 live");
    old.stop().await;
}

async fn receive(daybook: &Daybook, quantity: i64) {
    daybook.command("/v1/stock/85123A/receive", &json!({"quantity": quantity})).await;
}

async fn every_reader_reads_both_versions(world: &World, new: &Daybook, orders: usize) {
    let sql = "select min(substr(stream, 7)), schema_version from orders.event \
         where type = 'order.cancelled' group by 2 order by 2";
    let rows = world.sql().await.query(sql, &[]).await.unwrap();
    let written: Vec<(String, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(written.iter().map(|(_, version)| *version).collect::<Vec<_>>(), [1, 2]);

    posted(new, orders).await;
    let mut rebuild = world.command_of(next::binary().await, "rebuild");
    let rebuilt = rebuild.args(["orders", "order-history", "sales"]).output().await.unwrap();
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    posted(new, orders).await;
    for (order, _) in &written {
        let history = new.all(&format!("/v1/orders/{order}/history")).await;
        let last = history.last().unwrap();
        assert_eq!(last["schema"], 2, "{last}");
        assert_eq!(last["payload"], json!({"because": "customer-request"}));
    }

    let mut shown = Vec::new();
    for partition in 0..8 {
        shown.extend(new.all(&format!("/v1/log/orders/{partition}")).await);
    }
    shown.retain(|event| event["type"] == "order.cancelled");
    are_of_the_next_version(&shown, orders);
    let mut log = world.command_of(next::binary().await, "log");
    let printed = log.args(["orders", "--type", "order.cancelled"]).output().await.unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let printed: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    are_of_the_next_version(&printed, orders);
}

async fn posted(daybook: &Daybook, orders: usize) {
    let cancelled = daybook.all("/v1/orders?status=cancelled").await;
    assert_eq!(cancelled.len(), orders);
    assert!(cancelled.iter().all(|order| order["cancel_reason"] == "customer-request"));
}

/// What is shown is of the version that the newer one writes, whichever was stored.
fn are_of_the_next_version(events: &[Value], orders: usize) {
    assert_eq!(events.len(), orders);
    let reason = |event: &Value| event["payload"]["because"] == "customer-request";
    assert!(events.iter().all(|event| event["schema"] == 2 && reason(event)), "{events:#?}");
    assert!(events.iter().any(|event| event["stored_schema"] == 1), "some were older");
    assert!(events.iter().any(|event| event["stored_schema"].is_null()), "some were not");
}

/// Writers before readers, as it should not be done: nothing is lost or misread all the same.
#[tokio::test]
async fn an_older_binary_stops_only_where_a_newer_one_wrote_and_says_so() {
    next::path().await;
    let world = World::new().await.without_kafka();
    let old = world.start().await;
    sell(&world, &old, SKU, 255, 100).await;
    // The older one was there first, so it has the locks of every partition, and keeps them.
    let new = world.spawn(next::binary().await, free_port());
    new.is_ready().await;
    let (theirs, others, count) = in_two_partitions(&old).await;
    settled(&world, count).await;

    let reason = json!({"reason": "customer-request"});
    new.command(&format!("/v1/orders/{theirs}/cancel"), &reason).await;
    stands_still_at(&old, &format!("orders/{}", place(&theirs))).await;
    cannot_decide(&world, &old, &theirs).await;
    shows_it_as_it_is_stored(&world, &old, &theirs).await;
    old.command(&format!("/v1/orders/{others}/ship"), &json!({})).await;
    let is = |status: &'static str| move |order: &Value| order["status"] == status;
    old.until("others flow on", &format!("/v1/orders/{others}"), is("closed")).await;
    let product = json!({"sku": "71053", "name": "Thing", "price": pence(5)});
    old.command("/v1/products", &product).await;

    old.stop().await;
    new.until("what waited is posted", &format!("/v1/orders/{theirs}"), is("cancelled")).await;
    settled(&world, count).await;
    audit(&world).await;
    new.stop().await;
}

fn place(order: &str) -> i32 {
    partition_of(&format!("order-{order}"), 8)
}

/// Orders until two lie in different partitions; those two, and how many it took.
async fn in_two_partitions(daybook: &Daybook) -> (String, String, usize) {
    let url = format!("{}/v1/orders", daybook.url);
    let body = order(&[SKU], "pm_card_visa");
    let first = post(&daybook.http, &url, None, &body).await.order();
    for count in 2.. {
        let next = post(&daybook.http, &url, None, &body).await.order();
        if place(&next) != place(&first) {
            return (first, next, count);
        }
    }
    unreachable!("there is always one more")
}

/// Its readiness names the partition under every follower of that log, and nothing else.
async fn stands_still_at(daybook: &Daybook, partition: &str) {
    let named = |answer: &Value| {
        let detail = answer["detail"].as_str().unwrap_or_default();
        let stopped = detail.split(&[' ', ',', '(', ')', '.', ':']).filter(|it| it.contains('/'));
        stopped.map(str::to_owned).collect::<Vec<_>>()
    };
    let all = |answer: &Value| {
        let named = named(answer);
        ["orders", "order-history", "sales", "checkout-reactor"]
            .iter()
            .all(|follower| named.contains(&format!("{follower}/{partition}")))
    };
    let answer = daybook.until("it says where it stands still", "/health/ready", all).await;
    assert!(named(&answer).iter().all(|name| name.ends_with(partition)), "{answer}");
}

async fn cannot_decide(world: &World, daybook: &Daybook, order: &str) {
    let sql = "select count(*) from orders.event where stream = $1";
    let (postgres, stream) = (world.sql().await, format!("order-{order}"));
    let count = async || postgres.query_one(sql, &[&stream]).await.unwrap().get::<_, i64>(0);
    let before = count().await;
    let answer = daybook.send(&format!("/v1/orders/{order}/ship"), None, &json!({})).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], "urn:daybook:problem:newer-version-about");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("newer version of this program is about"), "{detail}");
    assert_eq!(count().await, before, "nothing was done");
}

/// Whoever looks at the log itself wants to see just what this binary does not know.
async fn shows_it_as_it_is_stored(world: &World, daybook: &Daybook, order: &str) {
    let stored = |event: &Value| {
        assert_eq!(event["type"], "order.cancelled");
        assert_eq!(event["schema"], 2);
        assert_eq!(event["payload"], json!({"because": "customer-request"}));
    };
    let log = daybook.all(&format!("/v1/log/orders/{}", place(order))).await;
    stored(log.last().unwrap());
    let stream = format!("order-{order}");
    let printed = world.command("log").args(["--stream", &stream]).output().await.unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    stored(&serde_json::from_str(printed.lines().last().unwrap()).unwrap());
}
