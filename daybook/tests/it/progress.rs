//! What hangs is told of, though it cannot tell of itself.

use crate::shop::{order, sell};
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
