//! What other services ask.

use crate::shop::Shop;
use http::StatusCode;
use serde_json::{Value, json};

const ORDER: &str = "5f0c1b7e-8f58-7d3e-9f3e-0d5c0f1c8a11";

/// A command as another service sends it.
fn asked(stream: &str, id: u8, command: Value) -> Value {
    json!({
        "stream": stream,
        "command_id": format!("00000000-0000-0000-0000-0000000000{id:02}"),
        "command": command,
        "occurred_at": "2010-12-01T08:26:00.123456Z",
        "causation": "00000000-0000-0000-0000-0000000000ff",
        "actor": "checkout-saga",
    })
}

fn reserve(id: u8, quantity: i64) -> Value {
    asked("stock-A", id, json!({"reserve": {"order": ORDER, "quantity": quantity}}))
}

#[tokio::test]
async fn a_request_of_another_service_acts_once_and_says_who_acted_for_whom() {
    let shop = Shop::new().await;
    shop.post("/v1/stock/A/receive").send(json!({"quantity": 10})).await;
    let ask = || {
        let call = shop.post("/internal/commands").header("x-correlation-id", "the-order");
        call.send(reserve(1, 3))
    };
    let first = ask().await;
    assert_eq!((first.status, &first.body["events"]), (StatusCode::OK, &json!(["stock.reserved"])));
    assert_eq!(ask().await, first, "a late duplicate meets its own command id");
    let inventory = shop.inventory();
    let event = inventory.read_stream("stock-A", 1, 10).await.unwrap().pop().unwrap();
    assert_eq!(event.version, 2);
    assert_eq!(event.metadata.correlation, "the-order");
    assert_eq!(event.metadata.actor, "checkout-saga");
    assert!(event.metadata.causation.is_some());
    assert_eq!(event.occurred_at.to_rfc3339(), "2010-12-01T08:26:00.123456+00:00");
}

#[tokio::test]
async fn the_deciders_own_word_is_a_conflict_and_nothing_else_is() {
    let shop = Shop::new().await;
    let ask = |body| shop.post("/internal/commands").send(body);
    let stream = format!("order-{ORDER}");
    // To callers this is 404; to a service it is what the decider says.
    ask(asked(&stream, 1, json!({"confirm": {}}))).await.is_problem(409, "not-placed", &[]);
    let unknown = ask(asked("nothing-A", 2, json!({"confirm": {}}))).await;
    unknown.is_problem(422, "invalid-fields", &["/stream"]);
    let other = ask(asked(&stream, 3, json!({"explode": {}}))).await;
    other.is_problem(422, "invalid-fields", &["/command"]);
    // Its own deciders', but nothing that one service asks of another: neither the command, nor in the name of others.
    for (id, stream, command) in [
        (4, "stock-A", json!({"receive": {"quantity": 1}})),
        (5, "stock-A", json!({"adjust": {"change": 1, "reason": "found"}})),
        (6, &*stream, json!({"ship": {}})),
    ] {
        let none = ask(asked(stream, id, command)).await;
        none.is_problem(422, "invalid-fields", &["/command"]);
    }
    let mut other = reserve(7, 1);
    other["actor"] = json!("ann");
    ask(other).await.is_problem(422, "invalid-fields", &["/command"]);
    let product = ask(asked("product-A", 8, json!({"discontinue": {}}))).await;
    product.is_problem(422, "invalid-fields", &["/stream"]);
    let payment = format!("payment-{ORDER}");
    let outcome = json!({"succeeded": {"reference": "x"}});
    let paid = json!({"answer": {"operation": "authorisation", "attempt": 1, "outcome": outcome}});
    let paid = ask(asked(&payment, 9, paid)).await;
    paid.is_problem(422, "invalid-fields", &["/command"]);
    assert_eq!(shop.events().await, 0);
    let empty = ask(json!({})).await;
    let fields = ["/actor", "/command", "/command_id", "/occurred_at", "/stream"];
    let mut found: Vec<_> = empty.body["errors"].as_array().unwrap().iter().collect();
    found.sort_by_key(|error| error["pointer"].as_str());
    assert_eq!(found.iter().map(|it| it["pointer"].as_str().unwrap()).collect::<Vec<_>>(), fields);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_begun() {
    let shop = Shop::new().await;
    shop.post("/v1/stock/A/receive").send(json!({"quantity": 10})).await;
    let ask = |deadline: &'static str| {
        let call = shop.post("/internal/commands").header("daybook-deadline", deadline);
        call.send(reserve(1, 3))
    };
    ask("2010-12-01T08:26:00Z").await.is_problem(503, "deadline-passed", &[]);
    assert_eq!(shop.inventory().read_stream("stock-A", 0, 10).await.unwrap().len(), 1);
    assert_eq!(ask("2200-12-01T08:26:00Z").await.status, StatusCode::OK);
}
