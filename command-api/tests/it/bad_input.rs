//! Whatever is sent, the answer is a problem, 4xx, and nothing is in the log.

use crate::shop::{Shop, order, pounds};
use serde_json::{Value, json};

const ORDER: &str = "5f0c1b7e-0000-7000-8000-000000000000";

async fn shop() -> Shop {
    let shop = Shop::new().await;
    shop.list("A", 255).await;
    shop.post_prices().await;
    shop
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    parent.as_object_mut().unwrap().insert(name.to_owned(), value);
    body
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let shop = shop().await;
    let deep = format!("{}{}", "{\"lines\":[".repeat(5_000), "]}".repeat(5_000));
    let cases: [(&str, &[u8]); 8] = [
        ("cut off", b"{\"quantity\": "),
        ("trailing garbage", b"{\"quantity\": 1} and more"),
        ("two documents", b"{\"quantity\": 1}{\"quantity\": 1}"),
        ("not UTF-8", b"{\"quantity\": \"\xc3\x28\"}"),
        ("half a surrogate pair", b"{\"quantity\": \"\\ud800\"}"),
        ("a key twice", b"{\"quantity\": 1, \"quantity\": 2}"),
        ("nested too deeply", deep.as_bytes()),
        ("a number beyond all numbers", b"{\"quantity\": 1e999}"),
    ];
    let before = shop.events().await;
    for path in ["/v1/stock/A/receive", "/v1/orders"] {
        for (what, body) in cases {
            let reply = shop.post(path).send_raw(body.to_vec()).await;
            assert_eq!(reply.status.as_u16(), 400, "{what}: {}", reply.body);
            reply.is_problem(400, "malformed-body", &[]);
        }
        let huge = format!("{{\"quantity\": \"{}\"}}", "9".repeat(2 << 20));
        shop.post(path).send_raw(huge).await.is_problem(413, "body-too-large", &[]);
        shop.post(path).send(json!([1])).await.is_problem(422, "invalid-fields", &[""]);
    }
    assert_eq!(shop.events().await, before);
}

#[tokio::test]
async fn a_quantity_that_is_none_is_refused() {
    let shop = shop().await;
    let before = shop.events().await;
    for bad in [
        json!(0),
        json!(-1),
        json!(1_000_001),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(1.5),
        json!("6"),
        json!(true),
        json!([1]),
        json!({}),
        Value::Null,
    ] {
        let body = json!({"quantity": bad});
        let reply = shop.post("/v1/stock/A/receive").send(body).await;
        reply.is_problem(422, "invalid-fields", &["/quantity"]);
        let body = with(order("A"), "/lines/0/quantity", bad.clone());
        let reply = shop.post("/v1/orders").send(body).await;
        reply.is_problem(422, "invalid-fields", &["/lines/0/quantity"]);
        let body = json!({"change": bad, "reason": "lost"});
        if bad != json!(-1) && bad != json!(1_000_001) {
            let reply = shop.post("/v1/stock/A/adjust").send(body).await;
            reply.is_problem(422, "invalid-fields", &["/change"]);
        }
    }
    assert_eq!(shop.events().await, before);
}

#[tokio::test]
async fn a_field_of_an_order_that_holds_nonsense_is_named() {
    let shop = shop().await;
    let before = shop.events().await;
    let long = "x".repeat(100_000);
    for (pointer, value, named) in [
        ("/customer", json!("two words"), "/customer"),
        ("/customer", json!("a\u{0}b"), "/customer"),
        ("/customer", json!(long), "/customer"),
        ("/country", json!("UK"), "/country"),
        ("/country", json!("gb"), "/country"),
        ("/country", json!(7), "/country"),
        ("/payment_method", json!("pm card"), "/payment_method"),
        ("/lines", json!({}), "/lines"),
        ("/lines", json!("A"), "/lines"),
        ("/lines/0/sku", json!(""), "/lines/0/sku"),
        ("/lines/0/sku", json!("-A"), "/lines/0/sku"),
        ("/lines/0/sku", json!("A\u{0}"), "/lines/0/sku"),
        ("/lines/0/sku", json!(long), "/lines/0/sku"),
        ("/lines/0/tax_rate", json!(10_001), "/lines/0/tax_rate"),
        ("/lines/0/unit_price", json!(255), "/lines/0/unit_price"),
        ("/lines/0/unit_price", pounds(-1), "/lines/0/unit_price/amount"),
        ("/lines/0/unit_price", pounds(i64::MAX), "/lines/0/unit_price/amount"),
        (
            "/lines/0/unit_price",
            json!({"amount": 1, "currency": "XXX"}),
            "/lines/0/unit_price/currency",
        ),
        ("/shipping", json!({"amount": 1}), "/shipping/currency"),
        ("/discount", pounds(-1), "/discount/amount"),
        ("/colour", json!("red"), "/colour"),
        ("/lines/0/colour", json!("red"), "/lines/0/colour"),
        ("/a~0b", json!({"c/d": "\u{0}"}), "/a~00b/c~1d"),
    ] {
        let reply = shop.post("/v1/orders").send(with(order("A"), pointer, value)).await;
        let errors = reply.body["errors"].as_array().cloned().unwrap_or_default();
        assert!(
            reply.status.as_u16() == 422 && errors.iter().any(|error| error["pointer"] == named),
            "{pointer}: {}",
            reply.body
        );
        assert!(reply.body.to_string().len() < 2_000, "{pointer}: an answer stays small");
    }
    assert_eq!(shop.events().await, before);
}

#[tokio::test]
async fn everything_that_is_wrong_is_listed_at_once() {
    let shop = shop().await;
    let body = json!({
        "customer": "two words",
        "payment_method": "pm_card_visa",
        "lines": [
            {"sku": "A", "quantity": 1},
            {"sku": "A", "quantity": 0, "unit_price": {"amount": -1, "currency": "ZZZ"}},
        ],
        "coupon": 1,
    });
    shop.post("/v1/orders").send(body).await.is_problem(
        422,
        "invalid-fields",
        &["/lines/1/quantity", "/lines/1/unit_price/currency", "/customer", "/country", "/coupon"],
    );
}

#[tokio::test]
async fn an_order_that_no_shop_could_keep_is_refused() {
    let shop = shop().await;
    let before = shop.events().await;
    let line = |quantity: i64| json!({"sku": "A", "quantity": quantity});
    let many: Vec<_> = (0..1_001).map(|_| line(1)).collect();
    let dollars = json!({"amount": 1, "currency": "USD"});
    for (pointer, value, slug) in [
        ("/lines", json!([]), "no-lines"),
        ("/lines", json!(many), "too-many-lines"),
        ("/lines", json!([line(1_000_000), line(1)]), "too-many-units"),
        ("/lines/0/sku", json!("NEVER-LISTED"), "unknown-sku"),
        ("/shipping", dollars, "mixed-currencies"),
        ("/shipping", pounds(100_000_000_000_000), "total-too-large"),
        ("/discount", pounds(6 * 255 + 1), "discount-exceeds-total"),
    ] {
        let reply = shop.post("/v1/orders").send(with(order("A"), pointer, value)).await;
        let type_ = reply.body["type"].as_str().unwrap();
        assert_eq!(type_, format!("urn:daybook:problem:{slug}"), "{}", reply.body);
        assert_eq!(reply.status.as_u16(), 422, "{}", reply.body);
    }
    assert_eq!(shop.events().await, before);
}

#[tokio::test]
async fn what_the_other_commands_cannot_take_is_named() {
    let shop = shop().await;
    let before = shop.events().await;
    let product = json!({"sku": "B", "name": "A thing", "price": pounds(1)});
    let cancel = format!("/v1/orders/{ORDER}/cancel");
    let refund = format!("/v1/payments/{ORDER}/refund");
    let [retry, settle] = ["retry", "settle"].map(|act| format!("/v1/checkouts/{ORDER}/{act}"));
    for (path, body, named) in [
        ("/v1/products", with(product.clone(), "/name", json!("  ")), "/name"),
        ("/v1/products", with(product.clone(), "/name", json!("a\u{0}")), "/name"),
        ("/v1/products", with(product.clone(), "/name", json!("x".repeat(201))), "/name"),
        ("/v1/products", with(product.clone(), "/sku", json!("a b")), "/sku"),
        ("/v1/products", with(product, "/price", pounds(-1)), "/price/amount"),
        ("/v1/products/A/reprice", json!({}), "/price"),
        ("/v1/products/A/rename", json!({"name": 1}), "/name"),
        ("/v1/products/A/discontinue", json!({"sure": true}), "/sure"),
        ("/v1/stock/A/adjust", json!({"change": 1, "reason": "Found it"}), "/reason"),
        (&cancel, json!({"reason": "because"}), "/reason"),
        (&cancel, json!({"reason": "out-of-stock"}), "/reason"),
        (&refund, json!({"amount": 5}), "/amount"),
        (&retry, json!({}), "/reason"),
        (&retry, json!({"reason": "  "}), "/reason"),
        (&retry, json!({"reason": "two\nlines"}), "/reason"),
        (&settle, json!({"reason": "x".repeat(501)}), "/reason"),
        (&settle, json!({"reason": "so", "by": "x".repeat(65)}), "/by"),
        (&settle, json!({"reason": "so", "amount": 5}), "/amount"),
    ] {
        shop.post(path).send(body).await.is_problem(422, "invalid-fields", &[named]);
    }
    assert_eq!(shop.events().await, before);
}

#[tokio::test]
async fn bad_paths_methods_and_headers_are_refused() {
    let shop = shop().await;
    let before = shop.events().await;
    let long = "x".repeat(65);
    for sku in ["-", "%00", "%ff", "a%20b", "%2E%2E", &long] {
        let path = format!("/v1/stock/{sku}/receive");
        let reply = shop.post(&path).send(json!({"quantity": 1})).await;
        reply.is_problem(400, "invalid-path", &[]);
    }
    for id in ["1", "order", "5f0c1b7e-0000-7000-8000-00000000000g"] {
        let reply = shop.post(&format!("/v1/orders/{id}/ship")).key("k").send_raw("").await;
        reply.is_problem(400, "invalid-path", &[]);
    }
    let receive = || shop.post("/v1/stock/A/receive");
    let one = json!({"quantity": 1});
    let long = "k".repeat(256);
    for bad in ["", "\"", "two words", &long] {
        let reply = receive().key(bad).send(one.clone()).await;
        reply.is_problem(400, "invalid-idempotency-key", &[]);
    }
    shop.post("/v1/stock/A/eat").send(one).await.is_problem(404, "not-found", &[]);
    assert_eq!(shop.events().await, before);
}
