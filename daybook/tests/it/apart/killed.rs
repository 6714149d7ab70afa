//! One service after the other is pulled the plug, under load.

use super::street::PARTS;
use crate::shop::{audit, eventually, order, outcomes, post, sell, settled};
use crate::support::{Daybook, World, free_port};
use futures_util::future::join_all;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Orders for as long as it is told to, each with a key, until it has an answer; gives how many there are.
async fn load(world: &World, going: &AtomicBool, placed: &AtomicUsize) -> usize {
    let front = world.street.as_ref().unwrap().front.url.clone();
    let (url, http) = (format!("{front}/v1/orders"), crate::support::http());
    let caller = async |caller: usize| {
        let mut orders = 0;
        while going.load(Ordering::Relaxed) {
            let key = format!("caller-{caller}-{orders}");
            let body = order(&["A"], "pm_card_visa");
            let sending = http.post(&url).header("idempotency-key", &key).json(&body).send();
            if sending.await.is_ok_and(|answer| answer.status() == 201) {
                orders += 1;
                placed.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // Whatever was under way at last: the answer is that of its key.
        let key = format!("caller-{caller}-{orders}");
        let body = order(&["A"], "pm_card_visa");
        eventually("the last order is answered", async || {
            let last = post(&http, &url, Some(&key), &body).await;
            (last.status == 201).then_some(()).ok_or(format!("{last:?}"))
        })
        .await;
        orders + 1
    };
    join_all((0..3).map(caller)).await.into_iter().sum()
}

/// What waits for the inventory is listed as due, with the reason.
async fn listed_as_due(world: &World) {
    let street = world.street.as_ref().unwrap();
    eventually("what the checkouts ask of the inventory is due, and why is known", async || {
        let listed = street.command(world, "dues list", "checkout").arg("--json").output().await;
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        let mut dues = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let waits = |due: &Value| {
            let why = due["last_error"].as_str().unwrap_or_default();
            due["key"].as_str().unwrap().starts_with("reserve:") && why.contains("inventory")
        };
        dues.any(|due| waits(&due)).then_some(()).ok_or(listed.clone())
    })
    .await;
}

/// Nobody runs against a closed door for long.
async fn is_left_alone(checkouts: &Daybook) {
    eventually("the checkouts leave the inventory alone", async || {
        let open = checkouts.metric("daybook_breaker_open").await;
        open.is_some_and(|open| open > 0.0).then_some(()).ok_or(format!("{open:?}"))
    })
    .await;
}

#[tokio::test]
async fn each_service_is_killed_in_turn_under_load_and_no_order_is_lost_or_doubled() {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    let ports = PARTS.map(|_| free_port());
    let starting =
        PARTS.iter().zip(ports).map(|(part, port)| street.start_part(&world, *part, port));
    let mut parts: Vec<Daybook> = join_all(starting).await;
    street.show_rows(&world).await;
    let whole = Daybook::in_parts(Vec::new(), &street.front.url);
    sell(&world, &whole, "A", 250, 1_000_000).await;

    let (going, placed) = (AtomicBool::new(true), AtomicUsize::new(0));
    let killing = async {
        for (at, part) in PARTS.iter().enumerate() {
            parts.remove(at).kill().await;
            // What does not need it goes on: orders are placed, unless it is theirs that is away.
            let before = placed.load(Ordering::Relaxed);
            if *part != PARTS[1] {
                eventually("orders are placed without it", async || {
                    let more = placed.load(Ordering::Relaxed) - before;
                    (more > 3).then_some(()).ok_or(format!("{more} more, without {part:?}"))
                })
                .await;
            }
            if part.0 == "inventory" {
                listed_as_due(&world).await;
                is_left_alone(parts.last().expect("the checkouts")).await;
            }
            parts.insert(at, street.start_part(&world, *part, ports[at]).await);
        }
        going.store(false, Ordering::Relaxed);
    };
    let (all, ()) = tokio::join!(load(&world, &going, &placed), killing);
    settled(&world, all).await;
    audit(&world).await;
    let expected = i64::try_from(all).unwrap();
    assert_eq!(
        outcomes(&world).await.into_iter().collect::<Vec<_>>(),
        [("confirmed".to_owned(), expected)]
    );
    let stock = |it: &Value| it["reserved"] == expected;
    whole.until("the stock is that of the orders", "/v1/stock/A", stock).await;
}
