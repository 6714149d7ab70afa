//! More callers than there is stock, all at once.

use crate::shop::{Answer, audit, eventually, order, outcomes, post, sell, settled, their_book};
use crate::support::{Daybook, World};
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const CALLERS: usize = 200;

#[tokio::test]
async fn a_flash_sale_sells_what_is_there_and_no_more() {
    let world = World::new().await;
    let daybooks = [world.start().await];
    sale(&world, &daybooks).await;
}

#[tokio::test]
async fn two_processes_on_one_database_share_a_flash_sale() {
    let world = World::new().await;
    let daybooks = [world.start().await, world.start().await];
    sale(&world, &daybooks).await;
}

#[tokio::test]
async fn two_processes_share_a_flash_sale_without_kafka() {
    let world = World::new().await.without_kafka();
    let daybooks = [world.start().await, world.start().await];
    sale(&world, &daybooks).await;
}

/// Every order takes one of what is scarce and one of what is plenty, so that half of them have
/// something to give back.
pub(crate) async fn sale(world: &World, daybooks: &[Daybook]) {
    sell(world, &daybooks[0], "SCARCE", 1_000, 100).await;
    sell(world, &daybooks[0], "PLENTY", 95, 1_000).await;
    let body = order(&["SCARCE", "PLENTY"], "pm_card_visa");
    let placing = (0..CALLERS).map(|caller| {
        let daybook = &daybooks[caller % daybooks.len()];
        let (url, body) = (format!("{}/v1/orders", daybook.url), &body);
        async move { placed_for(&daybook.http, &url, &format!("caller-{caller}"), body).await }
    });
    let answers = join_all(placing).await;
    let placed: BTreeSet<String> = answers.iter().map(Answer::order).collect();
    assert_eq!(placed.len(), CALLERS, "everybody has an order of his own");

    settled(world, CALLERS).await;
    let expected = [("confirmed", 100), ("out-of-stock", 100)];
    assert_eq!(outcomes(world).await, BTreeMap::from(expected.map(|(k, n)| (k.to_owned(), n))));
    audit(world).await;
    let book = their_book(world).await;
    assert_eq!(book.len(), 100, "who got nothing was never asked for money");
    assert!(book.values().all(|money| money.held() == 1_095), "{book:#?}");
    for daybook in daybooks {
        what_people_read_is_the_same(daybook, &placed).await;
    }
}

/// A gateway that reaches nobody in time says no more than that, and is asked again with the same key.
async fn placed_for(http: &Client, url: &str, key: &str, body: &Value) -> Answer {
    eventually("somebody takes the order", async || {
        let answer = post(http, url, Some(key), body).await;
        let of_gateway = answer.status == 503 && answer.body["detail"].is_null();
        if of_gateway { Err(answer.body.to_string()) } else { Ok(answer) }
    })
    .await
}

async fn what_people_read_is_the_same(daybook: &Daybook, placed: &BTreeSet<String>) {
    let count = |list: &Value| list["items"].as_array().map_or(0, Vec::len);
    let mut seen = BTreeSet::new();
    for (status, reason, payment) in
        [("confirmed", None, "authorised"), ("cancelled", Some("out-of-stock"), "none")]
    {
        let path = format!("/v1/orders?status={status}&limit=1000");
        let all_there = |list: &Value| {
            count(list) == 100
                && list["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|it| it["payment_status"] == payment)
        };
        let list = daybook.until(&format!("100 are {status}"), &path, all_there).await;
        for item in list["items"].as_array().unwrap() {
            assert_eq!(item["cancel_reason"].as_str(), reason, "{item}");
            seen.insert(item["order"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, *placed);
    for (sku, on_hand) in [("SCARCE", 100), ("PLENTY", 1_000)] {
        let sold = |stock: &serde_json::Value| {
            stock["on_hand"] == on_hand
                && stock["reserved"] == 100
                && stock["available"] == on_hand - 100
        };
        daybook.until("the stock adds up", &format!("/v1/stock/{sku}"), sold).await;
    }
}
