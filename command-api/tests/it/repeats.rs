use crate::shop::{Shop, order, pounds};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_repeated_key_gets_the_first_answer_and_changes_nothing() {
    let shop = Shop::new().await;
    let receive = json!({"quantity": 100});
    let first = shop.post("/v1/stock/A/receive").key("\"k-1\"").send(receive.clone()).await;
    shop.post("/v1/stock/A/receive").send(receive.clone()).await;
    let events = shop.events().await;
    // Bare instead of quoted, spaced and ordered otherwise, the path escaped: the same command.
    let call = shop.post("/v1/stock/%41/receive").key("k-1");
    assert_eq!(call.send_raw("{ \"quantity\" :100}").await, first);
    assert_eq!(
        shop.again().await.post("/v1/stock/A/receive").key("k-1").send(receive).await,
        first
    );
    assert_eq!(shop.events().await, events);
}

#[tokio::test]
async fn a_repeated_creation_is_created_again_for_its_caller() {
    let shop = Shop::new().await;
    let thing = json!({"sku": "A", "name": "A thing", "price": pounds(1)});
    let first = shop.post("/v1/products").key("k").send(thing.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(shop.post("/v1/products").key("k").send(thing.clone()).await, first);
    // Another command with the same content finds it done.
    let other = shop.post("/v1/products").key("other").send(thing).await;
    assert_eq!((other.status, &other.body["events"]), (StatusCode::OK, &json!([])));
    assert_eq!(other.header("daybook-position"), first.header("daybook-position"));
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let shop = Shop::new().await;
    let call = |key: &str| shop.post("/v1/stock/A/receive").key(key);
    call("k").send(json!({"quantity": 100})).await;
    call("k").send(json!({"quantity": 101})).await.is_problem(422, "idempotency-key-reused", &[]);
    assert_eq!(shop.events().await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_target() {
    let shop = Shop::new().await;
    for path in ["/v1/stock/A/receive", "/v1/stock/B/receive"] {
        let reply = shop.post(path).key("k").send(json!({"quantity": 1})).await;
        assert_eq!(reply.body["version"], 1);
    }
    for sku in ["A", "B"] {
        let body = json!({"sku": sku, "name": "A thing", "price": pounds(1)});
        let reply = shop.post("/v1/products").key("k").send(body).await;
        assert_eq!(reply.status, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn fifty_callers_with_one_key_in_two_processes_place_one_order() {
    let shop = Shop::new().await;
    shop.list("A", 255).await;
    shop.post_prices().await;
    let other = shop.again().await;
    let calls = (0..50).map(|n| {
        let shop = if n % 2 == 0 { &shop } else { &other };
        shop.post("/v1/orders").key("once").send(order("A"))
    });
    let replies = join_all(calls).await;
    assert_eq!(replies[0].status, StatusCode::CREATED, "{}", replies[0].body);
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(shop.events().await, 2);
}

#[tokio::test]
async fn an_accepted_order_is_answered_again_after_its_price_has_changed() {
    let shop = Shop::new().await;
    shop.list("A", 255).await;
    shop.post_prices().await;
    let mut shown = order("A");
    shown["lines"][0]["unit_price"] = pounds(255);
    let place = |body: &serde_json::Value| shop.post("/v1/orders").key("k").send(body.clone());
    let first = place(&shown).await;
    assert_eq!(first.status, StatusCode::CREATED);

    shop.post("/v1/products/A/reprice").send(json!({"price": pounds(300)})).await;
    shop.post_prices().await;
    assert_eq!(place(&shown).await, first);
    // A process that knows no price yet answers it, too.
    let restarted = shop.again().await;
    assert_eq!(restarted.post("/v1/orders").key("k").send(shown.clone()).await, first);
    // And another body under that key is told so, whatever its price.
    shown["lines"][0]["quantity"] = json!(7);
    place(&shown).await.is_problem(422, "idempotency-key-reused", &[]);
    assert_eq!(shop.events().await, 3);
}

#[tokio::test]
async fn without_a_key_every_request_is_a_command() {
    let shop = Shop::new().await;
    for version in 1..=2 {
        let reply = shop.post("/v1/stock/A/receive").send(json!({"quantity": 1})).await;
        assert_eq!(reply.body["version"], version);
    }
}
