//! Processes that stand still: their connections are taken, and nothing comes of them. What they hold is lent.

use super::load::{
    Load, asked_of, hold_payments, is_left_alone, let_payments_go, listed_as_due, payments_are_held,
};
use super::street::PARTS;
use crate::kafka_copy;
use crate::postgres_faults::frost::Frost;
use crate::shop::{SERVICES, audit, eventually, order, outcomes, sell, settled};
use crate::support::{Daybook, World, free_port};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long each service stands.
const STANDS: Duration = Duration::from_secs(30);

/// The longest that anybody waits who asks: `request_timeout_s`.
const REQUEST: Duration = Duration::from_secs(30);

/// Questions to each of the others while one stands.
const QUESTIONS: usize = 20;

/// The last part.
const CHECKOUTS: usize = PARTS.len() - 1;

/// Frozen whole, and then ended and started again as in a roll-out.
#[tokio::test]
async fn each_service_is_frozen_and_restarted_in_turn_under_load_and_no_order_is_lost_or_doubled() {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    let ports = PARTS.map(|_| free_port());
    let parts = street.start_on(&world, &ports).await;
    let mut parts: BTreeMap<usize, Daybook> = parts.into_iter().enumerate().collect();
    let whole = Daybook::in_parts(Vec::new(), &street.front.url);
    sell(&world, &whole, "A", 250, 1_000_000).await;
    let first = whole.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
    let first = first["stream"].as_str().unwrap().trim_start_matches("order-").to_owned();
    settled(&world, 1).await;

    let load = Load::new();
    let freezing = async {
        for service in SERVICES {
            let of_it = PARTS.iter().enumerate().filter(|(_, part)| part.0 == service);
            let of_it: Vec<usize> = of_it.map(|(at, _)| at).collect();
            hold_payments(&world).await;
            payments_are_held(&world).await;
            let frost = Frost::on(of_it.iter().map(|at| parts[at].pid()).collect());
            let_payments_go(&world).await;
            let thaws = Instant::now() + STANDS;
            // Nobody's answer waits for the one that stands: it would come after the thaw.
            others_answer(&whole, service, &first).await;
            if service != "orders" {
                load.goes_on_without(service).await;
            }
            if asked_of(service).is_some() {
                listed_as_due(&world, service).await;
                is_left_alone(&[&parts[&CHECKOUTS]]).await;
            }
            sleep_until(thaws).await;
            drop(frost);
            for at in of_it {
                parts.remove(&at).unwrap().stop().await;
                parts.insert(at, street.start_part(&world, PARTS[at], ports[at]).await);
            }
        }
        load.ends();
    };
    let (all, ()) = tokio::join!(load.orders(&world), freezing);
    settled(&world, all + 1).await;
    audit(&world).await;
    let expected = i64::try_from(all + 1).unwrap();
    assert_eq!(outcomes(&world).await, BTreeMap::from([("confirmed".to_owned(), expected)]));
    kafka_copy::equals_the_logs(&world).await;
}

/// A question to each service.
pub(super) fn questions(order: &str) -> [(&'static str, String); SERVICES.len()] {
    [
        ("catalogue", "/v1/products/A".to_owned()),
        ("orders", format!("/v1/orders/{order}")),
        ("inventory", "/v1/stock/A".to_owned()),
        ("payments", format!("/v1/payments/{order}")),
        ("checkout", format!("/v1/checkouts/{order}")),
    ]
}

/// Each other service answers what it is asked, one question after the other.
pub(super) async fn others_answer(whole: &Daybook, but: &str, order: &str) {
    let asked = questions(order);
    let asking =
        asked.iter().filter(|(service, _)| *service != but).map(async |(service, path)| {
            for _ in 0..QUESTIONS {
                let asked = whole.http.get(format!("{}{path}", whole.url)).timeout(REQUEST);
                let answer = asked.send().await;
                let answer = answer.unwrap_or_else(|e| panic!("{service} without {but}: {e:?}"));
                assert_eq!(answer.status(), 200, "{service} without {but}");
            }
        });
    join_all(asking).await;
}

/// The locks of its followers and of its relay, its place in Kafka's group, and the dues that it has claimed.
#[tokio::test]
async fn a_process_that_stands_still_with_all_it_holds_is_followed_by_its_twin() {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    let parts = street.start(&world).await;
    let checkouts = &parts[CHECKOUTS];
    let twin = street.start_part(&world, PARTS[CHECKOUTS], free_port()).await;
    let whole = Daybook::in_parts(Vec::new(), &street.front.url);
    sell(&world, &whole, "A", 250, 1_000_000).await;
    let mut placed = 0;
    let mut place = async |orders: usize| {
        for _ in 0..orders {
            whole.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
        }
        placed += orders;
        placed
    };
    let all = place(8).await;
    settled(&world, all).await;
    for (stands, goes_on) in [(checkouts, &twin), (&twin, checkouts)] {
        // Some of them are under way when it stands.
        place(8).await;
        let frost = Frost::on(vec![stands.pid()]);
        let began = Instant::now();
        let all = place(16).await;
        settled(&world, all).await;
        eprintln!("all was settled without it after {:.1} s", began.elapsed().as_secs_f64());
        eventually("the twin relays", async || {
            let up = goes_on.metric("daybook_relay_up").await;
            (up == Some(1.0)).then_some(()).ok_or(format!("{up:?}"))
        })
        .await;
        drop(frost);
        stands.is_ready().await;
        let all = place(8).await;
        settled(&world, all).await;
    }
    audit(&world).await;
    let expected = i64::try_from(place(0).await).unwrap();
    assert_eq!(outcomes(&world).await, BTreeMap::from([("confirmed".to_owned(), expected)]));
    kafka_copy::equals_the_logs(&world).await;
}
