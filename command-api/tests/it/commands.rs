use crate::shop::{Shop, order, pounds};
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn what_creates_is_201_and_the_rest_is_200() {
    let shop = Shop::new().await;
    let listed = shop.list("85123A", 255).await;
    assert_eq!(
        listed.body,
        json!({"stream": "product-85123A", "version": 1, "events": ["product.listed"]})
    );
    assert_eq!(listed.header("location"), "/v1/products/85123A");
    assert_eq!(listed.header("etag"), "\"1\"");
    assert!(listed.header("daybook-position").starts_with("catalogue/"), "{listed:?}");

    for (path, body, event, version) in [
        ("products/85123A/reprice", json!({"price": pounds(300)}), "product.repriced", 2),
        ("products/85123A/rename", json!({"name": "Another name"}), "product.renamed", 3),
        ("products/85123A/discontinue", json!({}), "product.discontinued", 4),
        ("stock/85123A/receive", json!({"quantity": 100}), "stock.received", 1),
        ("stock/85123A/adjust", json!({"change": -3, "reason": "broken"}), "stock.adjusted", 2),
    ] {
        let reply = shop.post(&format!("/v1/{path}")).send(body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        assert_eq!(
            (&reply.body["events"], &reply.body["version"]),
            (&json!([event]), &json!(version))
        );
        assert_eq!(reply.header("etag"), format!("\"{version}\""));
    }
}

#[tokio::test]
async fn an_order_is_placed_and_cancelled() {
    let shop = Shop::new().await;
    shop.list("85123A", 255).await;
    shop.post_prices().await;
    let placed = shop.post("/v1/orders").send(order("85123A")).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.body);
    assert_eq!(placed.body["events"], json!(["order.placed"]));
    let location = placed.header("location").to_owned();
    let id = location.strip_prefix("/v1/orders/").unwrap();
    assert_eq!(placed.body["stream"], format!("order-{id}"));

    let [event] = &shop.orders().read_stream(&format!("order-{id}"), 0, 10).await.unwrap()[..]
    else {
        panic!("one event")
    };
    let payload: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
    assert_eq!(payload["total"], pounds(6 * 255));
    assert_eq!(event.metadata.actor, "local");
    assert_eq!(event.command_id.to_string(), id);

    let ship = shop.post(&format!("{location}/ship")).send_raw("").await;
    ship.is_problem(409, "not-confirmed", &[]);
    assert_eq!(ship.header("daybook-position"), placed.header("daybook-position"));
    let cancel = shop.post(&format!("{location}/cancel"));
    let cancelled = cancel.send(json!({"reason": "customer-request"})).await;
    assert_eq!(cancelled.body["events"], json!(["order.cancelled"]));
}

#[tokio::test]
async fn each_rejection_has_a_type_of_its_own() {
    let shop = Shop::new().await;
    shop.list("85123A", 255).await;
    let nowhere = "5f0c1b7e-0000-7000-8000-000000000000";
    let dollars = json!({"price": {"amount": 1, "currency": "USD"}});
    let other = json!({"sku": "85123A", "name": "Other", "price": pounds(1)});
    let request = json!({"reason": "customer-request"});
    for (path, body, status, slug) in [
        ("products", other, 409, "already-listed"),
        ("products/NONE/reprice", json!({"price": pounds(1)}), 404, "not-listed"),
        ("products/85123A/reprice", dollars, 409, "other-currency"),
        ("stock/85123A/adjust", json!({"change": -1, "reason": "lost"}), 409, "below-reserved"),
        (&format!("orders/{nowhere}/cancel"), request, 404, "not-placed"),
        (&format!("orders/{nowhere}/ship"), json!({}), 404, "not-placed"),
        (&format!("payments/{nowhere}/refund"), json!({}), 409, "not-captured"),
        (&format!("checkouts/{nowhere}/retry"), json!({"reason": "so"}), 404, "not-started"),
        (&format!("checkouts/{nowhere}/cancel"), json!({"reason": "so"}), 404, "not-started"),
        (&format!("checkouts/{nowhere}/settle"), json!({"reason": "so"}), 404, "not-started"),
    ] {
        let reply = shop.post(&format!("/v1/{path}")).send(body).await;
        reply.is_problem(status, slug, &[]);
        assert!(reply.body["detail"].as_str().unwrap().ends_with('.'), "{}", reply.body);
    }
}

#[tokio::test]
async fn the_correlation_id_goes_into_the_event() {
    let shop = Shop::new().await;
    shop.list("85123A", 255).await;
    shop.post_prices().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = shop.post("/v1/orders").header("x-correlation-id", "till-7");
    let placed = call.header("traceparent", traceparent).send(order("85123A")).await;
    let stream = placed.body["stream"].as_str().unwrap();
    let events = shop.orders().read_stream(stream, 0, 10).await.unwrap();
    assert_eq!(events[0].metadata.correlation, "till-7");
    assert_eq!(events[0].metadata.traceparent.as_deref(), Some(traceparent));
}
