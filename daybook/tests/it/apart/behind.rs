//! The real gateway in front of everything: callers know no other address, and services among themselves neither.

use super::street::PARTS;
use super::{Shape, flows};
use crate::shop::{another_flow, audit, eventually, order, post, sell, settled};
use crate::support::{Daybook, World};
use serde_json::{Value, json};

#[tokio::test]
async fn behind_the_gateway_the_flows_of_the_shop_pass_and_of_two_processes_one_is_enough() {
    let world = World::shaped(Shape::Gateway).await;
    let mut shop = vec![world.start().await];
    flows::pass(&world, &mut shop).await;
    another_flow(&world).await;
    lines_are_for_the_service_that_is_named(&shop[0]).await;
    one_is_enough(&world, &mut shop[0]).await;
}

/// All lines of a request go to one service, the orders if nobody else is named.
async fn lines_are_for_the_service_that_is_named(shop: &Daybook) {
    let line = json!({"path": "/v1/stock/LINE/receive", "idempotency_key": "line", "body": {"quantity": 1}});
    let answered = async |to: &str| {
        let request = shop.http.post(format!("{}/v1/commands{to}", shop.url));
        let request = request.header("content-type", "application/x-ndjson");
        let answer = request.body(line.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{to}");
        answer.json::<Value>().await.unwrap()
    };
    for orders in ["", "?service=orders", "?service=nobody"] {
        let lost = answered(orders).await;
        assert_eq!((&lost["status"], &lost["headers"]["retry-after"]), (&json!(503), &json!("5")));
        assert_eq!(lost["body"]["type"], "urn:daybook:problem:not-served", "{lost}");
        assert!(lost["body"]["detail"].as_str().unwrap().contains("?service="), "{lost}");
    }
    let taken = answered("?service=inventory").await;
    assert_eq!(taken["status"], 200, "{taken}");
}

/// At the second address one process after the other is killed. Whoever has no answer asks again, and is answered.
async fn one_is_enough(world: &World, shop: &mut Daybook) {
    sell(world, shop, "LEFT", 250, 1_000_000).await;
    let (url, body) = (format!("{}/v1/orders", shop.url), order(&["LEFT"], "pm_card_visa"));
    let mut orders = 0;
    for part in PARTS {
        shop.kill_one(PARTS.len()).await;
        for _ in 0..5 {
            let key = format!("left-{orders}");
            let placed = eventually("an order is placed without it", async || {
                let answer = post(&shop.http, &url, Some(&key), &body).await;
                let is_placed = answer.status == 201;
                if is_placed { Ok(answer) } else { Err(format!("without {part:?}: {answer:?}")) }
            });
            let path = format!("/v1/orders/{}", placed.await.order());
            let confirmed = |order: &Value| order["status"] == "confirmed";
            shop.until("it is confirmed and shown without it", &path, confirmed).await;
            orders += 1;
        }
    }
    settled(world, orders).await;
    audit(world).await;
}
