//! What is owed and cannot be had just now, as an operator meets it.

use crate::shop::{eventually, order, sell};
use crate::support::World;
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_late_is_listed_with_its_reason_and_tried_again_on_request() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    world.provider.behave(&json!({"mode": "error"})).await;
    let placed = daybook.command("/v1/orders", &order(&["85123A"], "pm_card_visa")).await;
    let id = placed["stream"].as_str().unwrap().replace("order-", "");
    let stream = format!("payment-{id}");
    let due = eventually("the payment is late, and why is known", async || {
        let listed = world.command("dues list").arg("--json").output().await.unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let mut dues = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ours = |due: &Value| due["stream"] == stream && due["last_error"].is_string();
        dues.find(ours).ok_or(listed.clone())
    })
    .await;
    assert_eq!(due["key"], "authorise:1", "{due}");
    world.provider.behave(&json!({"mode": "up"})).await;
    // Between two tries nothing waits.
    eventually("it is tried at once or has been", async || {
        let retried = world.command("dues retry").arg(&stream).output().await.unwrap();
        let (_, order) = daybook.get(&format!("/v1/orders/{id}")).await;
        let done = retried.status.success() || order["status"] == "confirmed";
        if done { Ok(()) } else { Err(String::from_utf8(retried.stderr).unwrap()) }
    })
    .await;
    let confirmed = |order: &Value| order["status"] == "confirmed";
    daybook.until("it is confirmed", &format!("/v1/orders/{id}"), confirmed).await;
    let nothing = world.command("dues retry").args([&*stream, "authorise:1"]).output().await;
    let nothing = nothing.unwrap();
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(!nothing.status.success() && said.contains("daybook dues list"), "{said}");
    daybook.stop().await;
}
