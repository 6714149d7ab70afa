//! What need not be sent again, and what is said to browsers, through the real program.

use crate::shop::{order, post, sell};
use crate::support::{Daybook, World};
use reqwest::header::HeaderMap;
use serde_json::json;

async fn ask(daybook: &Daybook, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
    let request = daybook.http.get(format!("{}{path}", daybook.url));
    let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

fn tag(headers: &HeaderMap) -> String {
    headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tag_holds_exactly_as_long_as_what_it_stands_for() {
    let mut world = World::new().await;
    world.flags = vec!["--cors-origins".into(), "https://shop.example".into()];
    let daybook = world.start().await;
    sell(&world, &daybook, "A", 250, 10).await;
    let url = format!("{}/v1/orders", daybook.url);
    let placed = post(&daybook.http, &url, None, &order(&["A"], "pm_card_visa")).await;
    let path = format!("/v1/orders/{}", placed.order());
    let confirmed = "its payment is authorised and it is confirmed";
    daybook
        .until(confirmed, &path, |it| {
            it["status"] == "confirmed" && it["payment_status"] == "authorised"
        })
        .await;
    for path in [&path, "/v1/orders?status=confirmed", "/v1/stock/A", "/v1/sales?by=day"] {
        let (_, headers, whole) = ask(&daybook, path, &[]).await;
        let known = tag(&headers);
        let (status, headers, body) = ask(&daybook, path, &[("if-none-match", &known)]).await;
        assert_eq!((status, tag(&headers), body.len()), (304, known, 0), "{path}");
        assert!(!whole.is_empty() && !headers.contains_key("content-length"), "{path}");
    }
    // What the payment did is no event of the order: its version stays, and its tag does not.
    let (_, headers, _) = ask(&daybook, &path, &[]).await;
    let known = tag(&headers);
    let shipped = daybook.command(&format!("{path}/ship"), &json!({})).await;
    assert_eq!(shipped["version"], 3);
    daybook.until("it is paid", &path, |it| it["payment_status"] == "captured").await;
    let (status, headers, _) = ask(&daybook, &path, &[("if-none-match", &known)]).await;
    assert_eq!(status, 200);
    assert_ne!(tag(&headers), known);

    // The tag of what was shown is the condition of a command.
    let coded = [("accept-encoding", "gzip")];
    let stock = tag(&ask(&daybook, "/v1/stock/A", &coded).await.1);
    let adjusting = |condition: String| {
        let request = daybook.http.post(format!("{}/v1/stock/A/receive", daybook.url));
        request.header("if-match", condition).json(&json!({"quantity": 1})).send()
    };
    assert_eq!(adjusting(stock.clone()).await.unwrap().status(), 200);
    assert_eq!(adjusting(stock).await.unwrap().status(), 412);

    let (_, headers, _) = ask(&daybook, &path, &[("origin", "https://shop.example")]).await;
    assert_eq!(headers["access-control-allow-origin"], "https://shop.example");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let log = format!("/v1/orders/{}/timeline", placed.order());
    let (_, headers, plain) = ask(&daybook, &log, &[]).await;
    let (_, coded, sent) = ask(&daybook, &log, &coded).await;
    assert_eq!(coded["content-encoding"], "gzip");
    assert!(sent.len() * 3 < plain.len(), "{} of {}", sent.len(), plain.len());
    assert_ne!(tag(&headers), tag(&coded));
}

/// A page whose name leads here, and a page of another place that sends something here: without a login a browser would
/// be whoever sits before it.
#[tokio::test]
async fn where_nobody_is_asked_who_he_is_only_this_machine_and_its_pages_are_answered() {
    let mut world = World::new().await.without_kafka();
    world.flags = vec!["--cors-origins".into(), "https://desk.example".into()];
    let daybook = world.start().await;
    let url = format!("{}/v1/products/A/discontinue", daybook.url);
    let asked = async |name: &str, value: &str| {
        let request = daybook.http.post(&url).header(name, value);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (name, value) in
        [("host", "rebound.example:7400"), ("origin", "https://evil.example"), ("origin", "null")]
    {
        let (status, problem) = asked(name, value).await;
        assert_eq!(status, 403, "{name}: {value}");
        assert!(problem.contains("cors_origins"), "{problem}");
    }
    for (name, value) in [
        ("host", "localhost:7400"),
        ("origin", "http://localhost:3000"),
        ("origin", "https://desk.example"),
    ] {
        let (status, problem) = asked(name, value).await;
        assert_eq!(status, 404, "{name}: {value}: {problem}");
    }
    daybook.stop().await;
}
