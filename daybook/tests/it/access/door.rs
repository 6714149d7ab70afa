//! Who is let in where a request has no end.

use super::Guarded;
use crate::batch;
use edge::Role;
use reqwest::Client;
use serde_json::json;

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
