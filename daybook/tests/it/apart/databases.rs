//! Each service has a Postgres of its own. One after the other stands still: the service that has it says so, and to the
//! others it is as if that service were away.

use super::frozen::{others_answer, questions};
use super::load::{
    Load, asked_of, hold_payments, let_payments_go, listed_as_due, payments_are_held,
};
use super::street::PARTS;
use crate::kafka_copy;
use crate::postgres_faults::frost;
use crate::postgres_faults::server::{Place, Server};
use crate::shop::{Answer, SERVICES, audit, order, outcomes, sell, settled};
use crate::support::{Daybook, World, free_port};
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Until a service must have said that its Postgres is away.
const SAID: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_postgres_of_each_service_stands_still_in_turn_and_the_other_services_go_on() {
    let places = SERVICES.map(|_| Place::new());
    let servers: Vec<Server<'_>> = join_all(places.iter().map(|place| place.primary(&[]))).await;
    let urls: Vec<_> =
        SERVICES.into_iter().zip(servers.iter().map(|server| server.url())).collect();
    let world = World::apart_on(&urls).await;
    let street = world.street.as_ref().unwrap();
    let parts = street.start_on(&world, &PARTS.map(|_| free_port())).await;
    let whole = Daybook::in_parts(Vec::new(), &street.front.url);
    sell(&world, &whole, "A", 250, 1_000_000).await;
    let first = whole.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
    let first = first["stream"].as_str().unwrap().trim_start_matches("order-").to_owned();
    settled(&world, 1).await;

    let load = Load::new();
    let freezing = async {
        for (service, server) in SERVICES.into_iter().zip(&servers) {
            hold_payments(&world).await;
            payments_are_held(&world).await;
            let frost = frost::freeze(server);
            let began = Instant::now();
            let_payments_go(&world).await;
            says_that_it_is_away(&whole, service, &first).await;
            let said = began.elapsed();
            eprintln!("{service} said so after {:.1} s", said.as_secs_f64());
            assert!(said < SAID, "{service} said so after {said:?}");
            others_answer(&whole, service, &first).await;
            if service != "orders" {
                load.goes_on_without(service).await;
            }
            if asked_of(service).is_some() {
                listed_as_due(&world, service).await;
            }
            for (_, other) in PARTS.iter().zip(&parts).filter(|(part, _)| part.0 != service) {
                other.is_ready().await;
            }
            drop(frost);
            join_all(parts.iter().map(Daybook::is_ready)).await;
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

/// To whoever asks it something, and to whoever wants something of it.
async fn says_that_it_is_away(whole: &Daybook, service: &str, order: &str) {
    let command = match service {
        "catalogue" => "/v1/products",
        "orders" => "/v1/orders",
        "inventory" => "/v1/stock/A/receive",
        "payments" => &format!("/v1/payments/{order}/refund"),
        _ => &format!("/v1/checkouts/{order}/retry"),
    };
    let questions = questions(order);
    let (_, query) = questions.iter().find(|(of, _)| *of == service).unwrap();
    let [query, command] = [&**query, command].map(|path| format!("{}{path}", whole.url));
    // Nothing is asked for, lest it be done.
    let asks = |http: &Client| http.get(&query);
    let wants = |http: &Client| http.post(&command).json(&json!({}));
    tokio::join!(is_told(&whole.http, asks), is_told(&whole.http, wants));
}

/// Whoever came before it was known may wait for long: others come after him.
async fn is_told(http: &Client, request: impl Fn(&Client) -> reqwest::RequestBuilder) {
    let mut last = String::new();
    let deadline = Instant::now() + crate::support::LIMIT;
    while Instant::now() < deadline {
        let sending = request(http).timeout(Duration::from_millis(250)).send();
        match sending.await {
            Ok(answer) => {
                let answer = Answer::of(answer).await.unwrap();
                if answer.status == 503 && answer.problem() == "postgres-away" {
                    return;
                }
                last = format!("{answer:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => last = error.to_string(),
        }
    }
    panic!("never told that its Postgres is away: {last}");
}
