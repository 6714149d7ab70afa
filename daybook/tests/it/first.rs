use crate::support::World;
use serde_json::{Value, json};

#[tokio::test]
async fn an_order_goes_from_placed_to_closed() {
    let world = World::new().await;
    let daybook = world.start().await;
    let price = json!({"amount": 255, "currency": "GBP"});
    daybook
        .command("/v1/products", &json!({"sku": "85123A", "name": "Heart", "price": price}))
        .await;
    daybook.command("/v1/stock/85123A/receive", &json!({"quantity": 10})).await;
    let line = json!({"sku": "85123A", "quantity": 6});
    let order = json!({"country": "GB", "payment_method": "pm_card_visa", "lines": [line]});
    let placed = daybook.command("/v1/orders", &order).await;
    let id = placed["stream"].as_str().unwrap().trim_start_matches("order-").to_owned();
    let path = format!("/v1/orders/{id}");
    daybook.until("it is confirmed", &path, |order| order["status"] == "confirmed").await;
    daybook.command(&format!("{path}/ship"), &json!({})).await;
    // The view follows two logs, and either may be ahead.
    let closed = |o: &Value| o["status"] == "closed" && o["payment_status"] == "captured";
    daybook.until("it is closed and paid", &path, closed).await;
    let stock = |s: &Value| s["on_hand"] == 4 && s["reserved"] == 0;
    daybook.until("the stock is shipped", "/v1/stock/85123A", stock).await;
    an_unknown_type_is_told(&world).await;
    daybook.stop().await;
}

/// A typing error is told, and what is known is printed all the same.
async fn an_unknown_type_is_told(world: &World) {
    let mut log = world.command("log --type stock.resrved --type stock.reserved");
    let output = log.output().await.unwrap();
    let (printed, told) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (printed, told) = (printed.unwrap(), told.unwrap());
    assert!(output.status.success(), "{told}");
    assert!(printed.lines().count() == 1 && printed.contains("stock.reserved"), "{printed}");
    assert!(told.contains("`stock.resrved`; the nearest is `stock.reserved`"), "{told}");
}
