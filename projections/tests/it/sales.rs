//! What was sold, by each of its keys.

use crate::stories::{Shop, cancel, place};
use crate::support::{Process, all_pages, fresh_database, get, got};
use domain::orders::order::{CancelReason, Command};
use http::StatusCode;
use serde_json::{Value, json};

const DAY: i64 = 24 * 60 * 60;

fn item(key: &str, value: Value, orders: i64, units: i64, revenue: i64) -> Value {
    let revenue = json!({"amount": revenue, "currency": "GBP"});
    json!({key: value, "orders": orders, "units": units, "revenue": revenue})
}

#[tokio::test]
async fn sales_are_the_orders_that_were_confirmed_and_not_cancelled() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    let confirm = || Command::Confirm {};
    let lines = [("A1", 2, 250), ("B2", 1, 195), ("A1", 1, 240)];
    shop.order(1, 0, vec![place(1, &lines, Some("c1"), "GB"), confirm(), Command::Ship {}]).await;
    shop.order(2, DAY, vec![place(2, &[("A1", 4, 250)], None, "IE"), confirm()]).await;
    shop.order(3, 0, vec![place(3, &[("A1", 1, 250)], Some("c1"), "GB")]).await;
    shop.order(4, 0, vec![place(4, &[("C3", 1, 250)], Some("c4"), "FR"), confirm()]).await;
    process.posted().await;
    shop.order(4, 0, vec![cancel(CancelReason::CustomerRequest)]).await;
    process.posted().await;

    let by = async |key: &str| got(&router, &format!("/v1/sales?by={key}")).await["items"].clone();
    assert_eq!(
        by("day").await,
        json!([
            item("day", json!("2011-03-13"), 1, 4, 1135),
            item("day", json!("2011-03-14"), 1, 4, 1200),
        ])
    );
    assert_eq!(
        by("country").await,
        json!(
            [item("country", json!("GB"), 1, 4, 1135), item("country", json!("IE"), 1, 4, 1200),]
        )
    );
    assert_eq!(
        by("customer").await,
        json!([
            item("customer", json!(null), 1, 4, 1200),
            item("customer", json!("c1"), 1, 4, 1135),
        ])
    );
    assert_eq!(
        by("product").await,
        json!([item("sku", json!("A1"), 2, 7, 1740), item("sku", json!("B2"), 1, 1, 195),])
    );
    let pages = all_pages(&router, "/v1/sales?by=country&limit=1").await;
    assert_eq!(Value::from(pages), by("country").await);
    for bad in ["/v1/sales", "/v1/sales?by=hour"] {
        assert_eq!(get(&router, bad).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
}
