//! The payment provider declines, fails, is slow, and goes away: every order ends all the same, for a
//! reason, and the provider's book equals ours.

use crate::shop::{
    Answer, audit, eventually, order, outcomes, pence, post, sell, settled, their_book,
};
use crate::support::{Daybook, World};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A shop with plenty of one thing for 2.50.
async fn shop(world: &World) -> Daybook {
    let daybook = world.start().await;
    sell(world, &daybook, "A", 250, 1_000_000).await;
    daybook
}

/// So many orders at once, paid by each method in its turn; their ids in that order.
async fn place(daybook: &Daybook, count: usize, methods: &[&str]) -> Vec<String> {
    place_of("A", daybook, count, methods).await
}

async fn place_of(sku: &str, daybook: &Daybook, count: usize, methods: &[&str]) -> Vec<String> {
    let url = format!("{}/v1/orders", daybook.url);
    let placing = (0..count).map(|nth| {
        let body = order(&[sku], methods[nth % methods.len()]);
        let url = &url;
        async move { post(&daybook.http, url, None, &body).await }
    });
    join_all(placing).await.iter().map(Answer::order).collect()
}

fn counts<const N: usize>(expected: [(&str, i64); N]) -> BTreeMap<String, i64> {
    expected.map(|(reason, count)| (reason.to_owned(), count)).into()
}

async fn until_status(daybook: &Daybook, order: &str, status: &str) -> Value {
    let path = format!("/v1/orders/{order}");
    daybook.until(&format!("{order} is {status}"), &path, |order| order["status"] == status).await
}

async fn ship(daybook: &Daybook, order: &str) {
    daybook.command(&format!("/v1/orders/{order}/ship"), &json!({})).await;
}

#[tokio::test]
async fn an_order_whose_payment_is_declined_or_fails_is_cancelled_for_that_reason() {
    let world = World::new().await.without_kafka();
    declined_or_failed(&world, &world.start().await).await;
}

pub(crate) async fn declined_or_failed(world: &World, daybook: &Daybook) {
    sell(world, daybook, "DECLINED", 250, 1_000_000).await;
    let methods = [
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclined",
        "pm_card_radarBlock",
        "pm_card_nobody_has_heard_of",
    ];
    let orders = place_of("DECLINED", daybook, methods.len(), &methods).await;
    settled(world, orders.len()).await;
    let expected = counts([("payment-declined", 3), ("payment-failed", 1)]);
    assert_eq!(outcomes(world).await, expected);
    audit(world).await;
    for (order, (reason, payment)) in orders.iter().zip([
        ("payment-declined", "declined"),
        ("payment-declined", "declined"),
        ("payment-declined", "declined"),
        ("payment-failed", "failed"),
    ]) {
        let cancelled = until_status(daybook, order, "cancelled").await;
        assert_eq!(cancelled["cancel_reason"], reason, "{cancelled}");
        let paid = |it: &Value| it["payment_status"] == payment;
        daybook.until("its payment says why", &format!("/v1/orders/{order}"), paid).await;
    }
    let back = |stock: &Value| stock["reserved"] == 0 && stock["available"] == 1_000_000;
    daybook.until("the stock is back", "/v1/stock/DECLINED", back).await;
    let why = |payment: &Value| payment.to_string().contains("insufficient-funds");
    daybook.until("the payment says why", &format!("/v1/payments/{}", orders[0]), why).await;
}

#[tokio::test]
async fn payments_that_are_slow_fail_at_first_or_lose_their_answer_are_made_once() {
    let world = World::new().await;
    slow_or_lost(&world, &world.start().await).await;
}

pub(crate) async fn slow_or_lost(world: &World, daybook: &Daybook) {
    sell(world, daybook, "SLOW", 250, 1_000_000).await;
    world.provider.behave(&json!({"mode": "up", "delay_ms": 700})).await;
    let methods = [
        "pm_card_visa",
        "pm_sandbox_slow",
        "pm_sandbox_error",
        "pm_sandbox_lost",
        "pm_sandbox_error_kept",
    ];
    let orders = place_of("SLOW", daybook, 30, &methods).await;
    settled(world, orders.len()).await;
    assert_eq!(outcomes(world).await, counts([("confirmed", 30)]));
    audit(world).await;
    // One of each method is shipped, one cancelled, one shipped and given back.
    let (shipped, rest) = orders.split_at(10);
    let (cancelled, _) = rest.split_at(5);
    for order in shipped {
        ship(daybook, order).await;
    }
    for order in cancelled {
        let path = format!("/v1/orders/{order}/cancel");
        daybook.command(&path, &json!({"reason": "customer-request"})).await;
    }
    for order in shipped {
        until_status(daybook, order, "closed").await;
    }
    for order in &shipped[..5] {
        daybook.command(&format!("/v1/payments/{order}/refund"), &json!({})).await;
    }
    settled(world, orders.len()).await;
    for order in &shipped[..5] {
        let given_back = |it: &Value| it["payment_status"] == "refunded";
        daybook.until("it is given back", &format!("/v1/orders/{order}"), given_back).await;
    }
    audit(world).await;
    let book = their_book(world).await;
    let total = |of: fn(&crate::shop::Money) -> i64| book.values().map(of).sum::<i64>();
    assert_eq!(total(|money| money.captured), 10 * 250);
    assert_eq!(total(|money| money.refunded), 5 * 250);
    assert_eq!(total(|money| money.voided), 5 * 250);
    assert_eq!(total(|money| money.held()), 15 * 250);
}

/// What people do meanwhile is kept: some orders are cancelled while nobody knows what became of their
/// payment, and what the provider did for them in the dark is undone.
#[tokio::test]
async fn a_provider_that_is_slow_failing_down_or_mute_for_a_while_loses_nothing() {
    let world = World::new().await;
    faults(&world, &world.start().await).await;
}

pub(crate) async fn faults(world: &World, daybook: &Daybook) {
    sell(world, daybook, "FAULTY", 250, 1_000_000).await;
    let mut placed = Vec::new();
    for mode in ["slow", "error", "down", "mute"] {
        world.provider.behave(&json!({"mode": mode, "delay_ms": 400})).await;
        let orders =
            place_of("FAULTY", daybook, 20, &["pm_card_visa", "pm_card_chargeDeclined"]).await;
        asked_for(world, &orders).await;
        for order in &orders[..4] {
            let path = format!("/v1/orders/{order}/cancel");
            // Of a slow provider the answer may have come first.
            daybook.send(&path, None, &json!({"reason": "customer-request"})).await.unwrap();
        }
        placed.extend(orders);
    }
    world.provider.behave(&json!({"mode": "up"})).await;
    settled(world, placed.len()).await;
    let outcomes = outcomes(world).await;
    let some = |reason: &str| outcomes.get(reason).copied().unwrap_or_default();
    assert_eq!(some("confirmed") + some("payment-declined") + some("customer-request"), 80);
    assert!(some("confirmed") >= 32 && some("customer-request") >= 12, "{outcomes:?}");
    audit(world).await;
}

/// Waits until the payment of every order is asked for.
async fn asked_for(world: &World, orders: &[String]) {
    let sql = "select count(*) from payments.event \
         where type = 'payment.authorisation_requested' and substr(stream, 9) = any ($1)";
    let postgres = world.sql().await;
    eventually("the payments are asked for", async || {
        let count: i64 = postgres.query_one(sql, &[&orders]).await.unwrap().get(0);
        (count == i64::try_from(orders.len()).unwrap()).then_some(()).ok_or(format!("{count}"))
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_is_killed_three_times_charges_nobody_twice() {
    let mut world = World::new().await.without_kafka();
    let daybook = shop(&world).await;
    let book = world.folder.path().join("provider.book");
    let mut placed = Vec::new();
    for _ in 0..3 {
        let orders = place(&daybook, 30, &["pm_card_visa", "pm_sandbox_lost"]).await;
        // In the midst of it: some are charged, some are not.
        eventually("the book has grown", async || {
            let entries = their_book(&world).await.len();
            (entries >= placed.len() + 5).then_some(()).ok_or(format!("{entries} entries"))
        })
        .await;
        world.provider.kill().await;
        placed.extend(orders);
        asked_for(&world, &placed).await;
        world.provider.restart(&book).await;
    }
    for order in &placed[..10] {
        until_status(&daybook, order, "confirmed").await;
        ship(&daybook, order).await;
    }
    world.provider.kill().await;
    world.provider.restart(&book).await;
    settled(&world, placed.len()).await;
    for order in &placed[..10] {
        until_status(&daybook, order, "closed").await;
    }
    assert_eq!(outcomes(&world).await, counts([("confirmed", 90)]));
    audit(&world).await;
    assert_eq!(their_book(&world).await.values().map(|money| money.charges).sum::<i64>(), 90);
}

#[tokio::test]
async fn an_order_that_cannot_be_paid_in_time_is_cancelled_and_what_was_done_in_the_dark_is_undone()
{
    let mut world = World::new().await.without_kafka();
    // The breaker would keep the money of most orders from being asked for at all.
    world.environment.push(("DAYBOOK_PROVIDER_FAILURES", "1000000"));
    world.flags = vec!["--settle-deadline-s".to_owned(), "1".to_owned()];
    let daybook = shop(&world).await;
    world.provider.behave(&json!({"mode": "down"})).await;
    let down = place(&daybook, 10, &["pm_card_visa"]).await;
    for order in &down {
        let cancelled = until_status(&daybook, order, "cancelled").await;
        assert_eq!(cancelled["cancel_reason"], "checkout-timeout", "{cancelled}");
    }
    // Now it acts and does not say so, until the deadline has passed. Under load that may be before the
    // money is even asked for, so orders are placed until some was taken hold of in the dark.
    world.provider.behave(&json!({"mode": "mute"})).await;
    let mut late = Vec::new();
    let charged = eventually("some are charged in the dark", async || {
        let orders = place(&daybook, 10, &["pm_card_visa"]).await;
        for order in &orders {
            until_status(&daybook, order, "cancelled").await;
        }
        late.extend(orders);
        let book = their_book(&world).await;
        let charged = late.iter().find(|order| book.contains_key(*order)).cloned();
        charged.ok_or_else(|| format!("none of {}", late.len()))
    })
    .await;
    assert_eq!(their_book(&world).await[&charged].held(), 250, "nobody was told of it yet");
    world.provider.behave(&json!({"mode": "up"})).await;
    settled(&world, down.len() + late.len()).await;
    let all = i64::try_from(down.len() + late.len()).unwrap();
    assert_eq!(outcomes(&world).await, counts([("checkout-timeout", all)]));
    audit(&world).await;
    assert_eq!(their_book(&world).await[&charged].voided, 250);
    let back = |stock: &Value| stock["reserved"] == 0 && stock["available"] == 1_000_000;
    daybook.until("the stock is back", "/v1/stock/A", back).await;
}

#[tokio::test]
async fn a_capture_that_fails_for_good_is_shown_to_people() {
    let world = World::new().await.without_kafka();
    let daybook = shop(&world).await;
    let orders = place(&daybook, 1, &["pm_sandbox_capture_fails"]).await;
    until_status(&daybook, &orders[0], "confirmed").await;
    ship(&daybook, &orders[0]).await;
    let stuck = |list: &Value| list["items"][0]["order"] == *orders[0];
    let path = "/v1/checkouts?state=needs-attention";
    let list = daybook.until("it needs attention", path, stuck).await;
    assert_eq!(list["items"][0]["attention"], "capture-failed", "{list}");
    until_status(&daybook, &orders[0], "shipped").await;
    let url = format!("{}/v1/payments/{}/refund", daybook.url, orders[0]);
    let refused = post(&daybook.http, &url, None, &json!({"amount": pence(250)})).await;
    assert_eq!(refused.status, 409, "nothing was taken, so nothing is given back");
    // The provider let go of it by itself, which is why it failed; our book says so in its own way.
    let money = their_book(&world).await[&orders[0]];
    assert_eq!((money.charges, money.captured, money.held()), (1, 0, 0));
    let failed = |payment: &Value| payment["failure"] == "charge-expired-for-capture";
    daybook.until("its failure is shown", &format!("/v1/payments/{}", orders[0]), failed).await;
}
