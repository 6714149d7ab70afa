use crate::shop::{Reply, Shop, order, pounds};
use command_api::Settings;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn orders_wait_until_the_price_list_has_caught_up_with_the_start() {
    let before = Shop::new().await;
    before.list("A", 255).await;
    let shop = before.again().await;
    let early = shop.post("/v1/orders").send(order("A")).await;
    early.is_problem(503, "prices-unavailable", &[]);
    assert_eq!(early.header("retry-after"), "1");
    shop.post_prices().await;
    let placed = shop.post("/v1/orders").send(order("A")).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.body);
}

#[tokio::test]
async fn every_line_that_cannot_be_priced_is_named() {
    let shop = Shop::new().await;
    for (sku, pence) in [("A", 1), ("B", 2), ("GONE", 3)] {
        shop.list(sku, pence).await;
    }
    shop.post("/v1/products/GONE/discontinue").send_raw("").await;
    shop.post_prices().await;
    let line =
        |sku: &str, pence: i64| json!({"sku": sku, "quantity": 1, "unit_price": pounds(pence)});
    for (lines, status, slug, pointers) in [
        (
            json!([line("A", 1), line("X", 1), line("GONE", 9), line("Y", 1)]),
            422,
            "unknown-sku",
            &["/lines/1/sku", "/lines/3/sku"][..],
        ),
        (json!([line("GONE", 3), line("A", 9)]), 409, "discontinued", &["/lines/0/sku"]),
        (json!([line("A", 1), line("B", 9)]), 409, "price-changed", &["/lines/1/unit_price"]),
    ] {
        let mut body = order("A");
        body["lines"] = lines;
        shop.post("/v1/orders").send(body).await.is_problem(status, slug, pointers);
    }
    let mut dollars = order("A");
    dollars["lines"][0]["unit_price"] = json!({"amount": 1, "currency": "USD"});
    let reply = shop.post("/v1/orders").send(dollars).await;
    reply.is_problem(409, "price-changed", &["/lines/0/unit_price"]);
}

/// Sends an order that has seen a new price, and knows where it was recorded.
async fn order_at_a_new_price(shop: &Shop) -> impl Future<Output = Reply> {
    shop.list("A", 255).await;
    shop.post_prices().await;
    let reprice = shop.post("/v1/products/A/reprice").send(json!({"price": pounds(300)})).await;
    let min = format!("payments/0@1:99, {}", reprice.header("daybook-position"));
    let mut body = order("A");
    body["lines"][0]["unit_price"] = pounds(300);
    shop.post("/v1/orders").header("daybook-min-position", &min).send(body)
}

#[tokio::test]
async fn an_order_waits_for_a_price_that_was_just_set() {
    let wait = Duration::from_secs(60);
    let shop = Shop::with(Settings { min_position_wait: wait, ..Settings::default() }).await;
    let place = order_at_a_new_price(&shop).await;
    let (placed, ()) = tokio::join!(place, shop.post_prices());
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.body);
}

/// Who does not say what he expects to pay gets the price of the list as it is, and with a token not an older one.
#[tokio::test]
async fn an_order_without_a_price_has_the_one_that_its_caller_has_set() {
    let wait = Duration::from_secs(60);
    let shop = Shop::with(Settings { min_position_wait: wait, ..Settings::default() }).await;
    shop.list("A", 255).await;
    shop.post_prices().await;
    let reprice = shop.post("/v1/products/A/reprice").send(json!({"price": pounds(300)})).await;
    let min = reprice.header("daybook-position");

    // There is a price, so whoever sends no token waits for no other.
    let without = shop.post("/v1/orders").send(order("A")).await;
    let with = shop.post("/v1/orders").header("daybook-min-position", min).send(order("A"));
    let (with, ()) = tokio::join!(with, shop.post_prices());
    for (placed, price) in [(without, 255), (with, 300)] {
        assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.body);
        let stream = placed.body["stream"].as_str().unwrap();
        let event = shop.orders().read_stream(stream, 0, 1).await.unwrap().pop().unwrap();
        let event: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
        assert_eq!(event["lines"][0]["unit_price"], pounds(price), "{event}");
    }
}

/// Whoever types what the guide says types it faster than the list follows.
#[tokio::test]
async fn what_was_listed_or_repriced_a_moment_ago_can_be_ordered_without_further_ado() {
    let wait = Duration::from_secs(60);
    let shop = Shop::with(Settings { min_position_wait: wait, ..Settings::default() }).await;
    shop.list("A", 255).await;
    let place = shop.post("/v1/orders").send(order("A"));
    let (placed, ()) = tokio::join!(place, shop.post_prices());
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.body);

    shop.post("/v1/products/A/reprice").send(json!({"price": pounds(300)})).await;
    let mut body = order("A");
    body["lines"][0]["unit_price"] = pounds(300);
    let place = shop.post("/v1/orders").send(body);
    let (placed, ()) = tokio::join!(place, shop.post_prices());
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.body);
}

#[tokio::test]
async fn an_order_does_not_wait_for_ever() {
    let wait = Duration::ZERO;
    let shop = Shop::with(Settings { min_position_wait: wait, ..Settings::default() }).await;
    order_at_a_new_price(&shop).await.await.is_problem(503, "prices-unavailable", &[]);
    let call = shop.post("/v1/orders").header("daybook-min-position", "soon");
    call.send(order("A")).await.is_problem(400, "invalid-min-position", &[]);
}

/// They are looked up together, and each order is told of its own lines.
#[tokio::test]
async fn orders_that_come_at_once_get_each_their_own_prices() {
    let shop = Shop::new().await;
    for (sku, pence) in [("A", 1), ("B", 2)] {
        shop.list(sku, pence).await;
    }
    shop.post_prices().await;
    let orders = (0..100).map(|nth| {
        let (sku, pence) = [("A", 1), ("B", 2), ("A", 2), ("X", 1)][nth % 4];
        let mut body = order(sku);
        body["lines"][0]["unit_price"] = pounds(pence);
        shop.post("/v1/orders").send(body)
    });
    for (nth, reply) in join_all(orders).await.into_iter().enumerate() {
        assert_eq!(reply.status.as_u16(), [201, 201, 409, 422][nth % 4], "{}", reply.body);
    }
}
