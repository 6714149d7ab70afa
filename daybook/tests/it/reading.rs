//! Reading as a user does it: one's own writes on two processes, rows and logs held against each other, the story
//! of an order.

mod clients;

use crate::kafka_copy::equals_the_logs;
use crate::rebuild_e2e::is_nearly_live;
use crate::shop::{eventually, order, post, sell, settled};
use crate::support::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Output;

/// How a command ended, and what it said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn said(world: &World, command: &str, arguments: &[&str]) -> Said {
    let output = world.command(command).args(arguments).output().await.unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

impl Said {
    /// The JSON lines that are no progress.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.lines().filter(|line| line.get("progress").is_none()).collect()
    }

    fn lines(&self) -> impl Iterator<Item = Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap())
    }
}

#[tokio::test]
async fn rows_that_were_changed_are_named_and_a_rebuild_asks_before_it_replaces_them() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    sell(&world, &daybook, "71053", 255, 100).await;
    let available = |level: &Value| level["available"] == 100;
    daybook.until("it is posted", "/v1/stock/71053", available).await;
    let verified = said(&world, "verify", &["stock"]).await;
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(verified.out.contains("stock: its 2 rows are what the log says"), "{}", verified.out);

    let change = "update inventory_read.stock_1 set on_hand = 99 where sku = '71053'";
    world.sql().await.batch_execute(change).await.unwrap();
    let found = said(&world, "verify", &["stock"]).await;
    assert_eq!(found.code, 4, "{}", found.err);
    for part in
        ["1 of 2 rows", "sku \"71053\"", "on_hand: live 99, from the log 100", "stock-71053"]
    {
        assert!(found.out.contains(part), "{part}? {}", found.out);
    }
    let found = said(&world, "verify", &["stock", "--json"]).await.json();
    assert_eq!((&found[0]["projection"], &found[0]["same"]), (&json!("stock"), &json!(false)));

    let refused = said(&world, "rebuild", &["stock"]).await;
    assert_eq!(refused.code, 4, "{}", refused.out);
    assert!(refused.err.contains("--accept-differences"), "{}", refused.err);
    let accepted = said(&world, "rebuild", &["stock", "--accept-differences", "--json"]).await;
    assert_eq!(accepted.code, 3, "{}", accepted.err);
    let accepted = accepted.json();
    assert_eq!(
        (&accepted[0]["generation"], &accepted[0]["verified"]["by"]),
        (&json!(2), &json!("accepted"))
    );
    daybook.until("it is mended", "/v1/stock/71053", available).await;
    let unverified = said(&world, "rebuild", &["stock", "--no-verify"]).await;
    assert_eq!(unverified.code, 3, "{}", unverified.err);
    let verified = said(&world, "rebuild", &["stock"]).await;
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(verified.out.contains("verified in"), "{}", verified.out);

    let back = said(&world, "rebuild rollback", &["stock"]).await;
    assert_eq!(back.code, 0, "{}", back.err);
    let listed = said(&world, "generations list", &["stock", "--json"]).await.json();
    let live: Vec<_> = listed.iter().filter(|it| it["state"] == "live").collect();
    assert_eq!(live.len(), 1, "{listed:?}");
    let live = live[0]["generation"].to_string();
    assert_eq!(said(&world, "generations drop", &["stock", &live]).await.code, 4);
    daybook.until("the old one answers", "/v1/stock/71053", available).await;
    let none = said(&world, "rebuild", &["nothing"]).await;
    assert_eq!(none.code, 2, "{}", none.err);
    daybook.stop().await;
}

#[tokio::test]
async fn a_rebuild_tells_how_far_it_is_in_words_and_as_json() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    for sku in ["85123A", "71053", "84406B"] {
        sell(&world, &daybook, sku, 255, 100).await;
        let posted = |level: &Value| level["available"] == 100;
        daybook.until("it is posted", &format!("/v1/stock/{sku}"), posted).await;
    }
    let told = said(&world, "rebuild", &["stock", "--json"]).await;
    assert_eq!(told.code, 0, "{}", told.err);
    let told: Vec<Value> = told.lines().filter_map(|line| line.get("progress").cloned()).collect();
    assert!(told.iter().all(|it| it["projection"] == "stock" && it["stands_back"] == false));
    let of = |phase: &str| {
        let found = told.iter().find(|it| it["phase"] == phase);
        found.unwrap_or_else(|| panic!("{phase}? {told:?}"))
    };
    let shown = |phase: &str| {
        let it = of(phase);
        [&it["done"], &it["total"], &it["of"], &it["left_s"]].map(Value::clone)
    };
    assert_eq!(shown("filling"), [json!(0), json!(3), json!("events"), Value::Null]);
    assert_eq!(of("indexing")["left_s"], Value::Null);
    let [done, total, of_what, left] = shown("verifying");
    assert_eq!((done, of_what, left), (json!(0), json!("pages"), Value::Null));
    assert!(total.as_u64() > Some(0), "{told:?}");
    assert_eq!(shown("live"), [json!(3), json!(3), json!("events"), json!(0.0)]);
    assert!(of("live")["rate"].as_f64() > Some(0.0), "{told:?}");

    let told = said(&world, "rebuild", &["stock"]).await;
    assert_eq!(told.code, 0, "{}", told.err);
    let line = |phase: &str| {
        let found = told.err.lines().find_map(|it| it.strip_prefix(&format!("stock: {phase}, ")));
        found.unwrap_or_else(|| panic!("{phase}? {}", told.err))
    };
    assert_eq!(line("filling"), "0 of 3 events");
    assert!(line("verifying").starts_with("0 of ") && line("verifying").ends_with(" pages"));
    assert!(line("live").starts_with("3 of 3 events, ") && line("live").ends_with(" left"));
    daybook.stop().await;
}

#[tokio::test]
async fn a_rebuild_that_is_killed_leaves_what_generations_list_shows_and_the_next_one_clears() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let available = |level: &Value| level["available"] == 100;
    daybook.until("it is posted", "/v1/stock/85123A", available).await;
    let (mut holder, watcher) = (world.sql().await, world.sql().await);
    let held = holder.transaction().await.unwrap();
    held.execute("select from inventory_read.checkpoint for update", &[]).await.unwrap();
    let mut rebuilding = world.command("rebuild").arg("stock").spawn().unwrap();
    is_nearly_live(&watcher, "stock", "inventory_read").await;
    rebuilding.kill().await.unwrap();
    held.rollback().await.unwrap();
    let states = async || {
        let listed = said(&world, "generations list", &["stock", "--json"]).await.json();
        let state = |it: &Value| (it["generation"].as_i64().unwrap(), it["state"].clone());
        listed.iter().map(state).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [(1, json!("live")), (2, json!("building"))]);
    let listed = said(&world, "generations list", &["stock"]).await;
    assert!(listed.out.lines().any(|line| line.contains(" 2 building ")), "{}", listed.out);
    daybook.until("the live one answers", "/v1/stock/85123A", available).await;
    let again = eventually("what was killed has let go", async || {
        let again = said(&world, "rebuild", &["stock"]).await;
        if again.code == 0 { Ok(again) } else { Err(again.err) }
    });
    let again = again.await;
    assert!(again.out.contains("generation 2 is live"), "{}", again.out);
    assert_eq!(states().await, [(1, json!("old")), (2, json!("live"))]);
    daybook.stop().await;
}

#[tokio::test]
async fn the_log_and_its_copy_are_checked_record_by_record() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let url = format!("{}/v1/orders", daybook.url);
    for _ in 0..5 {
        post(&daybook.http, &url, None, &order(&["85123A"], "pm_card_visa")).await.order();
    }
    settled(&world, 5).await;
    equals_the_logs(&world).await;
    let brokers = world.brokers.clone().unwrap();
    let verify = async || {
        let prefix = world.topic_prefix.clone();
        let mut command = world.command("verify");
        command.args(["--log", "--kafka", "--json", "--kafka-brokers", &brokers]);
        let output = command.args(["--topic-prefix", &prefix]).output().await.unwrap();
        let Output { status, stdout, stderr } = output;
        let lines = String::from_utf8(stdout).unwrap();
        let lines = lines.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
        let (told, lines): (Vec<_>, Vec<_>) = lines.partition(|it| it.get("progress").is_some());
        for of in ["log", "copy"] {
            let tells = |it: &Value| it["progress"]["of"] == of && it["progress"]["done"] == 0;
            // On a slow machine also later, while there is nothing yet.
            let services = told.iter().filter(|it| tells(it)).map(|it| &it["progress"]["service"]);
            let services: BTreeSet<_> = services.map(Value::to_string).collect();
            assert_eq!(services.len(), 5, "{told:?}");
        }
        (status.code().unwrap(), lines, String::from_utf8(stderr).unwrap())
    };
    let (code, checked, err) = verify().await;
    assert_eq!((code, checked.len()), (0, 10), "{checked:?} {err}");
    let read = |of: &str| {
        let own = checked.iter().filter(|it| it["service"] == "orders" && it["of"] == of);
        own.map(|it| it["checked"]["read"].as_u64().unwrap()).sum::<u64>()
    };
    let told = said(&world, "verify", &["--log"]).await;
    assert!(told.err.contains("orders: the log, 0 events"), "{}", told.err);
    assert!(read("log") >= 10 && read("copy") >= read("log"), "{checked:?}");

    // As nobody may, and a disk might: one event is another one, and one is gone.
    let sql = world.sql().await;
    sql.batch_execute(
        "set session_replication_role = replica; \
         update orders.event set payload = '{}' where stream = (select min(stream) from orders.event) and version = 1; \
         delete from payments.event where (partition, log_offset) in \
           (select partition, min(log_offset) from payments.event group by 1 limit 1)",
    )
    .await
    .unwrap();
    let (code, checked, _) = verify().await;
    assert_eq!(code, 4, "{checked:?}");
    let faults = |service: &str, of: &str| {
        let found = checked.iter().find(|it| it["service"] == service && it["of"] == of);
        found.unwrap()["checked"]["faults"].to_string()
    };
    assert!(faults("orders", "log").contains("it cannot be read"), "{checked:?}");
    assert!(faults("orders", "copy").contains("is not the log's event"), "{checked:?}");
    assert!(faults("payments", "log").contains("is missing before it"), "{checked:?}");
    assert_eq!(faults("catalogue", "log"), "[]");
    daybook.stop().await;
}

#[tokio::test]
async fn the_story_of_an_order_is_told_across_its_streams_with_what_it_waits_for() {
    let mut world = World::new().await.without_kafka();
    world.flags.extend(["--settle-deadline-s".to_owned(), "600".to_owned()]);
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let url = format!("{}/v1/orders", daybook.url);
    let paid = post(&daybook.http, &url, None, &order(&["85123A"], "pm_card_visa")).await.order();
    settled(&world, 1).await;
    let path = format!("/v1/orders/{paid}/timeline");
    let types = |story: &Value| -> Vec<String> {
        let events = story["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|it| it["type"].as_str().unwrap().to_owned()).collect()
    };
    let confirmed = |story: &Value| types(story).iter().any(|it| it == "checkout.order_confirmed");
    let story = daybook.until("it is confirmed", &path, confirmed).await;
    let all = types(&story);
    for expected in ["order.placed", "stock.reserved", "payment.authorised", "order.confirmed"] {
        assert_eq!(all.iter().filter(|it| *it == expected).count(), 1, "{expected}: {all:?}");
    }
    assert_eq!(all[0], "order.placed");
    let of = |name: &str| {
        story["events"].as_array().unwrap().iter().find(|it| it["type"] == name).unwrap()
    };
    assert_eq!(of("checkout.started")["because_of"]["type"], "order.placed");
    assert_eq!(of("stock.reserved")["because_of"]["type"], "checkout.started");
    assert_eq!(story["absent"], json!([]));

    // The provider answers nothing, however often it is asked: the order waits for it, and says so.
    world.provider.behave(&json!({"mode": "error"})).await;
    let lost = post(&daybook.http, &url, None, &order(&["85123A"], "pm_card_visa")).await.order();
    let path = format!("/v1/orders/{lost}/timeline");
    let tried = |story: &Value| {
        let due = story["due"].as_array().cloned().unwrap_or_default();
        due.iter().any(|it| {
            it["key"].as_str().unwrap().starts_with("authorise") && it["last_error"] != Value::Null
        })
    };
    let story = daybook.until("it waits for the provider", &path, tried).await;
    let due = story["due"].as_array().unwrap().iter();
    let mut due = due.filter(|it| it["key"].as_str().unwrap().starts_with("authorise"));
    let due = due.find(|it| it["stream"] == format!("payment-{lost}")).unwrap();
    let instant =
        |it: &Value| it.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let placed = instant(&story["events"][0]["recorded_at"]);
    assert!(placed < instant(&due["due_at"]), "{story:#}");
    assert!(due["tries"].as_i64().unwrap() >= 1, "{due}");
    let error = due["last_error"].as_str().unwrap();
    assert!(error.contains("500"), "{error}");
    let told = said(&world, "explain order", &[&lost]).await;
    assert_eq!(told.code, 0, "{}", told.err);
    let payment = format!("payment-{lost}");
    for part in [
        "order.placed",
        "because of order.placed",
        "stock-85123A",
        "payment.authorisation_requested",
        &payment,
        "still due:",
        "authorise",
        "tried",
        error,
    ] {
        assert!(told.out.contains(part), "{part}? {}", told.out);
    }
    let nobody = said(&world, "explain order", &["00000000-0000-4000-8000-000000000000"]).await;
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("there is no order"), "{}", nobody.err);
    daybook.stop().await;
}
