use crate::shop::{Shop, order, pounds};
use command_api::Settings;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_history_brings_its_own_prices_and_times() {
    let shop = Shop::with(Settings { accept_history: true, ..Settings::default() }).await;
    let mut body = order("NEVER-LISTED");
    body["lines"][0]["unit_price"] = pounds(0);
    body["occurred_at"] = json!("2010-12-01T08:26:00Z");
    let placed = shop.post("/v1/orders").key("invoice-536365").send(body).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.body);
    let stream = placed.body["stream"].as_str().unwrap();
    let event = &shop.orders().read_stream(stream, 0, 10).await.unwrap()[0];
    assert_eq!(event.occurred_at.to_rfc3339(), "2010-12-01T08:26:00+00:00");
    assert!(event.recorded_at > event.occurred_at);
}

#[tokio::test]
async fn what_a_history_does_not_say_is_looked_up() {
    let shop = Shop::with(Settings { accept_history: true, ..Settings::default() }).await;
    shop.post("/v1/orders").send(order("A")).await.is_problem(
        422,
        "unknown-sku",
        &["/lines/0/sku"],
    );
}

#[tokio::test]
async fn a_history_does_not_come_from_the_future() {
    let shop = Shop::with(Settings { accept_history: true, ..Settings::default() }).await;
    for bad in ["2999-01-01T00:00:00Z", "-0044-03-15T12:00:00Z", "yesterday"] {
        let body = json!({"quantity": 1, "occurred_at": bad});
        let reply = shop.post("/v1/stock/A/receive").send(body).await;
        reply.is_problem(422, "invalid-fields", &["/occurred_at"]);
    }
    assert_eq!(shop.events().await, 0);
}

#[tokio::test]
async fn a_history_is_refused_where_it_is_not_expected() {
    let shop = Shop::new().await;
    shop.list("A", 255).await;
    shop.post_prices().await;
    let body = json!({"quantity": 1, "occurred_at": "2010-12-01T08:26:00Z"});
    let reply = shop.post("/v1/stock/A/receive").send(body).await;
    reply.is_problem(403, "history-not-accepted", &[]);
    let mut body = order("A");
    body["lines"][0]["unit_price"] = pounds(1);
    let reply = shop.post("/v1/orders").send(body).await;
    reply.is_problem(409, "price-changed", &["/lines/0/unit_price"]);
}
