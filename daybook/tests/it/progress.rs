//! What hangs is told of, though it cannot tell of itself.

use crate::on_file::{OnFile, counts_on};
use crate::shop::{eventually, order, sell};
use crate::support::World;
use serde_json::Value;

fn of<'a>(ready: &'a Value, kind: &str, name: &str) -> &'a Value {
    let all = ready["progress"][kind].as_array().into_iter().flatten();
    all.into_iter().find(|it| it["name"] == name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_follower_that_hangs_is_named_until_it_goes_on() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let caught_up = |ready: &Value| {
        ["followers", "dues", "relays"].iter().all(|kind| {
            let all = ready["progress"][kind].as_array();
            all.is_some_and(|all| all.iter().all(|it| it["behind"] == 0 && it["still_s"] == 0.0))
        }) && of(ready, "relays", "inventory")["behind"] == 0
            && of(ready, "dues", "checkout-dues")["behind"] == 0
    };
    daybook.until("all is done", "/health/ready", caught_up).await;

    // Whoever holds this lock holds up who writes, without an error.
    let mut sql = world.sql().await;
    let held = sql.transaction().await.unwrap();
    held.batch_execute("lock table orders_read.order_1 in access exclusive mode").await.unwrap();
    daybook.command("/v1/orders", &order(&["85123A"], "pm_card_visa")).await;
    let hangs = |what: &'static str| {
        move |answer: &Value| answer["detail"].as_str().is_some_and(|it| it.contains(what))
    };
    daybook.until("it is named", "/health/ready", hangs("orders/orders hangs: ")).await;
    assert!(daybook.metric("daybook_still_seconds").await.is_some_and(|still| still >= 8.0));
    let status = world.command("status").arg("--json").output().await.unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let line = |it: &&Value| it["follower"] == "orders" && it["service"] == "orders";
    let line = status["followers"].as_array().unwrap().iter().find(line).unwrap();
    assert!(line["lag"].as_i64().unwrap() > 0 && line["still_s"].as_f64().unwrap() > 5.0, "{line}");
    held.rollback().await.unwrap();
    daybook.until("it goes on", "/health/ready", caught_up).await;
    daybook.stop().await;
}

#[tokio::test]
async fn a_service_that_is_left_alone_because_it_fails_is_named_until_it_answers() {
    let world = World::new().await.without_kafka();
    let mut payments = OnFile::of(&world, "payments");
    payments.set("role", "commands");
    payments.set("service", "payments");
    let mut orders = OnFile::of(&world, "orders");
    orders.set("role", "queries");
    orders.set("service", "orders");
    orders.set("payments_url", &format!("http://127.0.0.1:{}", payments.port));
    let process = orders.serve();
    process.is_ready().await;
    let open = "daybook_breaker_open{target=\"payments\"}";
    counts_on(&process, open, 0.5).await;
    let said = "payments has been failing, and is left alone for a moment";
    let status = orders.says("status").await;
    assert!(status.contains(said), "{status}");

    let there = payments.serve();
    there.is_ready().await;
    eventually("it is asked again", async || {
        let open = process.metric(open).await;
        (open == Some(0.0)).then_some(()).ok_or(format!("{open:?}"))
    })
    .await;
    let status = orders.says("status").await;
    assert!(!status.contains(said), "{status}");
    process.stop().await;
    there.stop().await;
}
