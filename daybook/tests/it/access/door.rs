//! Who is let in, and for how long, where a request has no end.

use super::{Guarded, shows, wanted};
use crate::batch;
use crate::shop::order;
use crate::support::LIMIT;
use edge::access::Wanted;
use edge::{Role, clock};
use reqwest::{Client, Response};
use serde_json::json;
use std::time::Duration;

/// More than may send many commands at once.
const STRANGERS: usize = 20;

#[tokio::test]
async fn strangers_take_no_place_of_those_who_send_many_commands() {
    let shop = Guarded::new().await;
    let mut strangers = Vec::new();
    for _ in 0..STRANGERS {
        let (sending, mut answers) = batch::begin(&shop.daybook.url).await;
        assert_eq!(answers.status().await, 401);
        strangers.push((sending, answers));
    }
    let line = json!({"path": "/v1/stock/A1/receive", "body": {"quantity": 1}}).to_string();
    let many = |who: &Client| {
        let request = who.post(format!("{}/v1/commands", shop.daybook.url)).body(line.clone());
        let sending = request.header("content-type", "application/x-ndjson").send();
        async move { sending.await.unwrap() }
    };
    let answers = many(&shop.daybook.http).await;
    assert_eq!(answers.status(), 200);
    assert!(answers.text().await.unwrap().contains("\"status\":200"));
    // Whoever is known may begin, and each line is asked for by itself.
    let customer = shop.caller("ann", &[Role::Customer], Some("17850"));
    let answers = many(&customer).await;
    assert_eq!(answers.status(), 200);
    assert!(answers.text().await.unwrap().contains("\"status\":403"));
}

/// The ids of the events that are told, up to one, or until the answer ends.
async fn told(mut answer: Response, last: Option<&str>) -> Vec<String> {
    let (mut text, mut ids) = (String::new(), Vec::new());
    let listening = async {
        while ids.last().map(String::as_str) != last || last.is_none() {
            let Some(chunk) = answer.chunk().await.unwrap() else { break };
            text += std::str::from_utf8(&chunk).unwrap();
            let id = |line: &str| Some(line.strip_prefix("id:")?.trim().to_owned());
            ids = text.lines().filter_map(id).collect();
        }
        ids
    };
    tokio::time::timeout(LIMIT, listening).await.expect("it comes to that")
}

#[tokio::test]
async fn who_listens_is_let_go_when_his_token_expires_and_goes_on_with_a_fresh_one() {
    let shop = Guarded::told(&[("DAYBOOK_AUTH_SKEW_S", "1")]).await;
    let placed = shop.daybook.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
    let id = placed["stream"].as_str().unwrap().strip_prefix("order-").unwrap().to_owned();
    let confirmed = |order: &serde_json::Value| order["status"] == "confirmed";
    shop.daybook.until("it is confirmed", &format!("/v1/orders/{id}"), confirmed).await;
    let listens = async |who: &Client, after: &str| {
        let request = who.get(format!("{}/v1/orders/{id}/history", shop.daybook.url));
        let request = request.header("accept", "text/event-stream");
        request.header("last-event-id", after).send().await.unwrap()
    };
    let lives = |s| {
        let lives = Duration::from_secs(s);
        let token = Wanted { lives, ..wanted("ann", &[Role::Support], None) };
        shows(&shop.keys.token(&token, clock::now()).unwrap())
    };
    // On a slow day the first ones have expired before they are looked at.
    let mut seconds = 2;
    let (brief, answer) = loop {
        let brief = lives(seconds);
        let answer = listens(&brief, "0").await;
        if answer.status() == 200 {
            break (brief, answer);
        }
        assert_eq!(answer.status(), 401);
        seconds *= 2;
    };
    let mut seen = told(answer, None).await;
    let last = seen.last().map_or("0", String::as_str).to_owned();
    assert_eq!(listens(&brief, &last).await.status(), 401);
    let answer = listens(&lives(3_600), &last).await;
    assert_eq!(answer.status(), 200);
    shop.daybook.command(&format!("/v1/orders/{id}/ship"), &json!({})).await;
    seen.extend(told(answer, Some("1:3")).await);
    assert_eq!(seen, ["1:1", "1:2", "1:3"], "none is left out, and none comes twice");
}
