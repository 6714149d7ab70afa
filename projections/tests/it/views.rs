//! What each read model shows.

use crate::stories::{
    Shop, authorise, cancel, declined, gbp, order_id, pieces, place, reason, succeeded,
};
use crate::support::{Process, fresh_database, get, got, tell};
use domain::catalogue::product;
use domain::checkout::checkout::{self, Checkout, Deadline, Patience, Reservation};
use domain::inventory::stock;
use domain::orders::order::{CancelReason, Command};
use domain::payments::payment::{self, Operation};
use domain::values::StockChange;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn an_order_shows_how_far_payment_and_shipment_have_come() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    let lines = [("A1", 2, 250), ("B2", 1, 195), ("A1", 1, 240)];
    shop.order(7, 60, vec![place(7, &lines, Some("17850"), "GB"), Command::Confirm {}]).await;
    shop.payment(7, vec![authorise(1135), succeeded(Operation::Authorisation)]).await;
    process.posted().await;

    let path = format!("/v1/orders/{}", order_id(7));
    let order = got(&router, &path).await;
    let line = |line: i64, sku: &str, quantity: i64, price: i64, shipped: i64| {
        let unit_price = json!({"amount": price, "currency": "GBP"});
        json!({"line": line, "sku": sku, "quantity": quantity, "unit_price": unit_price, "tax_rate": 0,
               "shipped": shipped})
    };
    assert_eq!(
        order,
        json!({
            "order": order_id(7), "number": order_id(7).number(), "status": "confirmed",
            "payment_status": "authorised", "fulfilment_status": "unfulfilled", "cancel_reason": null,
            "customer": "17850", "country": "GB",
            "lines": [line(1, "A1", 2, 250, 0), line(2, "B2", 1, 195, 0), line(3, "A1", 1, 240, 0)],
            "shipping": {"amount": 300, "currency": "GBP"}, "discount": {"amount": 100, "currency": "GBP"},
            "total": {"amount": 1135, "currency": "GBP"}, "placed_at": "2011-03-13T07:07:40Z", "version": 2,
        })
    );

    shop.order(7, 70, vec![Command::Ship {}, Command::Close {}]).await;
    shop.payment(
        7,
        vec![payment::Command::Capture { amount: gbp(1135) }, succeeded(Operation::Capture)],
    )
    .await;
    process.posted().await;
    let order = got(&router, &path).await;
    assert_eq!(order["status"], "closed");
    assert_eq!(order["payment_status"], "captured");
    assert_eq!(order["fulfilment_status"], "fulfilled");
    assert_eq!(order["lines"][0], line(1, "A1", 2, 250, 2));
    assert_eq!(order["version"], 4);
}

#[tokio::test]
async fn a_cancelled_order_says_why_and_its_history_says_when() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    shop.placed(1, 10, vec![cancel(CancelReason::OutOfStock)]).await;
    process.posted().await;
    let order = got(&router, &format!("/v1/orders/{}", order_id(1))).await;
    assert_eq!(
        (&order["status"], &order["cancel_reason"]),
        (&json!("cancelled"), &json!("out-of-stock"))
    );
    assert_eq!(order["payment_status"], "none");

    let history = got(&router, &format!("/v1/orders/{}/history", order_id(1))).await;
    let types: Vec<_> = history["items"].as_array().unwrap().iter().map(|it| &it["type"]).collect();
    assert_eq!(types, ["order.placed", "order.cancelled"]);
    assert_eq!(history["items"][1]["payload"], json!({"reason": "out-of-stock"}));
    assert_eq!(history["items"][1]["correlation"], "test");
    assert_eq!(history["next"], json!(null));
}

#[tokio::test]
async fn an_order_of_which_only_payments_have_heard_is_not_shown() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    shop.payment(1, vec![authorise(700)]).await;
    process.posted().await;
    let (status, problem) = get(&router, &format!("/v1/orders/{}", order_id(1))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(problem["type"], "urn:daybook:problem:not-found");
    assert_eq!(got(&router, "/v1/orders").await["items"], json!([]));

    shop.placed(1, 10, vec![]).await;
    process.posted().await;
    let order = got(&router, &format!("/v1/orders/{}", order_id(1))).await;
    assert_eq!(
        (&order["status"], &order["payment_status"]),
        (&json!("placed"), &json!("requested"))
    );
}

#[tokio::test]
async fn stock_is_what_came_less_what_left_and_what_is_held() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    let order = order_id;
    let (receive, reserve) = (
        |n| stock::Command::Receive { quantity: pieces(n) },
        |o, n| stock::Command::Reserve { order: order(o), quantity: pieces(n) },
    );
    let adjust = stock::Command::Adjust {
        change: StockChange::try_from(-3).unwrap(),
        reason: reason("broken"),
    };
    shop.stock("A1", vec![receive(20), adjust, reserve(1, 5), reserve(2, 4), reserve(3, 99)]).await;
    shop.stock(
        "A1",
        vec![
            stock::Command::Release { order: order(2) },
            stock::Command::Ship { order: order(1) },
            reserve(4, 2),
        ],
    )
    .await;
    shop.stock("B2", vec![receive(50)]).await;
    process.posted().await;
    let a1 = json!({"sku": "A1", "on_hand": 12, "reserved": 2, "available": 10, "version": 8});
    assert_eq!(got(&router, "/v1/stock/A1").await, a1);
    assert_eq!(got(&router, "/v1/stock?available_below=11").await["items"], json!([a1]));
    assert_eq!(got(&router, "/v1/stock?available_below=10").await["items"], json!([]));
    assert_eq!(get(&router, "/v1/stock/C3").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn products_are_found_by_the_first_letters_of_words_in_name_and_sku() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    shop.listed("85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 255).await;
    shop.listed("84406B", "CREAM CUPID HEARTS COAT HANGER", 275).await;
    shop.listed("POST-1.X", "Café crème", 100).await;
    shop.product(
        "84406B",
        vec![
            product::Command::Rename { name: "Cream cupid coat hanger".parse().unwrap() },
            product::Command::Reprice { price: gbp(299) },
            product::Command::Discontinue {},
        ],
    )
    .await;
    process.posted().await;
    let search = async |text: &str| {
        let found = got(&router, &format!("/v1/products?search={text}")).await;
        let skus = found["items"].as_array().unwrap().iter().map(|it| it["sku"].clone());
        serde_json::Value::from_iter(skus)
    };
    assert_eq!(search("heart").await, json!(["85123A"]));
    assert_eq!(search("hang").await, json!(["84406B", "85123A"]));
    assert_eq!(search("hang+light+WHI").await, json!(["85123A"]));
    assert_eq!(search("85123a").await, json!(["85123A"]));
    assert_eq!(search("post-1").await, json!(["POST-1.X"]));
    assert_eq!(search("CAF%C3%89").await, json!(["POST-1.X"]));
    assert_eq!(search("%27%20%7C%20%21zz%3A%2A").await, json!([]));
    assert_eq!(get(&router, "/v1/products?search=-").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        got(&router, "/v1/products/84406B").await,
        json!({"sku": "84406B", "name": "Cream cupid coat hanger", "status": "discontinued",
               "price": {"amount": 299, "currency": "GBP"}, "version": 4})
    );
}

#[tokio::test]
async fn a_payment_shows_what_is_pending_and_what_failed() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    shop.payment(1, vec![authorise(700), declined()]).await;
    shop.payment(2, vec![authorise(500), succeeded(Operation::Authorisation)]).await;
    shop.payment(2, vec![payment::Command::Capture { amount: gbp(500) }]).await;
    process.posted().await;
    let payment = async |number| got(&router, &format!("/v1/payments/{}", order_id(number))).await;
    let refused = payment(1).await;
    assert_eq!(
        (&refused["status"], &refused["failure"]),
        (&json!("declined"), &json!("insufficient-funds"))
    );
    assert_eq!(refused["authorised"]["amount"], 0);
    let taken = payment(2).await;
    assert_eq!((&taken["status"], &taken["pending"]), (&json!("authorised"), &json!("capture")));

    shop.payment(
        2,
        vec![
            succeeded(Operation::Capture),
            payment::Command::Refund { amount: None },
            succeeded(Operation::Refund),
        ],
    )
    .await;
    process.posted().await;
    let back = payment(2).await;
    assert_eq!((&back["status"], &back["pending"]), (&json!("refunded"), &json!(null)));
    assert_eq!((&back["captured"], &back["refunded"]), (&back["amount"], &back["amount"]));
    assert_eq!(
        get(&router, &format!("/v1/payments/{}", order_id(3))).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_checkout_is_stuck_when_something_of_it_or_of_its_payment_is_late() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let checkouts = process.transactor::<Checkout>("checkout");
    let start = |number, second| {
        let command = checkout::Command::Start {
            order: order_id(number),
            reservations: vec![Reservation { sku: "A1".parse().unwrap(), quantity: pieces(1) }],
            total: gbp(500),
            payment_method: "pm_card_visa".parse().unwrap(),
            patience: Patience { settle_s: 600, finish_s: 600 },
        };
        let checkouts = &checkouts;
        async move { tell(checkouts, &checkout::stream(order_id(number)), command, second).await }
    };
    for number in 1..=4 {
        start(number, i64::try_from(number).unwrap()).await;
    }
    for (read, number, due) in [
        ("checkout", 1, "- interval '1 hour'"),
        ("payments", 3, "- interval '2 hours'"),
        ("checkout", 4, "+ interval '1 hour'"),
    ] {
        let stream = if read == "checkout" { "checkout" } else { "payment" };
        let sql = format!(
            "insert into {read}_read.due (stream, key, request, correlation, causation, due_at) \
             values ('{stream}-{}', 'key', '{{}}', 'c', gen_random_uuid(), now() {due})",
            order_id(number)
        );
        process.admin.batch_execute(&sql).await.unwrap();
    }
    process.posted().await;
    let stuck = got(&router, "/v1/checkouts?state=stuck").await;
    let orders: Vec<_> = stuck["items"].as_array().unwrap().iter().map(|it| &it["order"]).collect();
    assert_eq!(orders, [&json!(order_id(3)), &json!(order_id(1))]);
    assert_eq!(stuck["items"][0]["late"][0]["stream"], format!("payment-{}", order_id(3)));
    let running = got(&router, "/v1/checkouts?state=running&limit=1000").await;
    assert_eq!(running["items"].as_array().unwrap().len(), 4);
    assert_eq!(running["items"][0]["reservations"], json!([{"sku": "A1", "quantity": 1}]));
    assert_eq!(got(&router, "/v1/checkouts?state=completed").await["items"], json!([]));
}

#[tokio::test]
async fn a_checkout_needs_attention_until_a_person_has_come_or_it_is_completed() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let checkouts = process.transactor::<Checkout>("checkout");
    let stream = checkout::stream(order_id(1));
    let say = async |command| tell(&checkouts, &stream, command, 7).await;
    say(checkout::Command::Start {
        order: order_id(1),
        reservations: vec![Reservation { sku: "A1".parse().unwrap(), quantity: pieces(1) }],
        total: gbp(500),
        payment_method: "pm_card_visa".parse().unwrap(),
        patience: Patience { settle_s: 600, finish_s: 600 },
    })
    .await;
    say(checkout::Command::StockReserved { sku: "A1".parse().unwrap() }).await;
    say(checkout::Command::PaymentAuthorised {}).await;
    say(checkout::Command::OrderConfirmed {}).await;
    say(checkout::Command::OrderShipped {}).await;
    say(checkout::Command::CaptureFailed { reason: reason("expired") }).await;
    say(checkout::Command::DeadlinePassed { deadline: Deadline::Finish }).await;
    process.posted().await;
    let shown = async || got(&router, "/v1/checkouts").await["items"][0].clone();
    let now = shown().await;
    assert_eq!(
        (&now["state"], &now["attention"]),
        (&json!("needs-attention"), &json!("capture-failed"))
    );
    assert_eq!((&now["trouble"], &now["by_hand"]), (&json!("expired"), &json!(null)));
    assert!(now["attention_since"].is_string(), "{now}");

    let because = || "the bank is back".parse().unwrap();
    say(checkout::Command::Retry { reason: because(), by: Some("ann".parse().unwrap()) }).await;
    process.posted().await;
    let now = shown().await;
    assert_eq!((&now["state"], &now["attention"]), (&json!("running"), &json!(null)));
    assert_eq!((&now["trouble"], &now["attention_since"]), (&json!(null), &json!(null)));
    assert_eq!((&now["by_hand"]["act"], &now["by_hand"]["by"]), (&json!("retried"), &json!("ann")));

    // In one batch: attention is needed again for another reason, and ends with a second person.
    say(checkout::Command::CaptureFailed { reason: reason("lapsed") }).await;
    say(checkout::Command::Settle { reason: because(), by: None }).await;
    say(checkout::Command::StockShipped { sku: "A1".parse().unwrap() }).await;
    process.posted().await;
    let now = shown().await;
    assert_eq!((&now["state"], &now["trouble"]), (&json!("running"), &json!(null)));
    assert_eq!((&now["by_hand"]["act"], &now["by_hand"]["by"]), (&json!("settled"), &json!(null)));
    say(checkout::Command::OrderClosed {}).await;
    process.posted().await;
    assert_eq!(shown().await["state"], "completed");
}

#[tokio::test]
async fn the_log_is_read_as_it_is() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    for number in 1..=4 {
        shop.stock("A1", vec![stock::Command::Receive { quantity: pieces(number) }]).await;
    }
    let partition = process.log("inventory").partition_of("stock-A1");
    let path = format!("/v1/log/inventory/{partition}");
    let first = got(&router, &format!("{path}?limit=3")).await;
    assert_eq!(first["items"][2]["position"], format!("inventory/{partition}@1:2"));
    assert_eq!(first["items"][2]["payload"], json!({"quantity": 3}));
    assert_eq!(first["items"][2]["type"], "stock.received");
    assert_eq!(first["next"], "2");
    let second = got(&router, &format!("{path}?after=2")).await;
    assert_eq!(second["items"][0]["version"], 4);
    assert_eq!(second["next"], json!(null));
    for unknown in ["/v1/log/inventory/3", "/v1/log/inventory/-1", "/v1/log/none/0"] {
        assert_eq!(get(&router, unknown).await.0, StatusCode::NOT_FOUND, "{unknown}");
    }
}
