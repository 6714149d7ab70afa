//! Callers who go away before they have an answer, at any byte of what they send.

use crate::shop::{Answer, audit, order, post, sell, settled};
use crate::support::{Daybook, World};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn request(daybook: &Daybook, key: &str, body: &Value) -> Vec<u8> {
    let (host, body) = (daybook.url.trim_start_matches("http://"), body.to_string());
    let length = body.len();
    format!(
        "POST /v1/orders HTTP/1.1\r\nhost: {host}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends so much of the request, and hangs up. Then comes back twice with all of it.
async fn go_away_and_come_back(daybook: &Daybook, sent: usize, body: &Value) -> [Answer; 2] {
    let key = format!("cut-after-{sent:03}");
    let mut line = TcpStream::connect(daybook.url.trim_start_matches("http://")).await.unwrap();
    line.write_all(&request(daybook, &key, body)[..sent]).await.unwrap();
    // With what has come unread, or half sent, the other side sees a reset or an end, as it happens.
    drop(line);
    let url = format!("{}/v1/orders", daybook.url);
    [
        post(&daybook.http, &url, Some(&key), body).await,
        post(&daybook.http, &url, Some(&key), body).await,
    ]
}

#[tokio::test]
async fn a_caller_who_goes_away_at_any_byte_and_comes_back_has_one_order() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "A", 250, 10_000).await;
    let body = order(&["A"], "pm_card_visa");
    let whole = request(&daybook, "cut-after-000", &body).len();
    // Of the headers every eighth, of the body and its end every one.
    let cuts: Vec<_> =
        (1..whole).filter(|at| at % 8 == 0 || whole - at < 90).chain([whole]).collect();
    let calling = cuts.iter().map(|at| go_away_and_come_back(&daybook, *at, &body));
    let answers: Vec<_> = stream::iter(calling).buffer_unordered(8).collect().await;
    for [first, again] in &answers {
        assert_eq!(first, again);
        first.order();
    }
    settled(&world, cuts.len()).await;
    audit(&world).await;
}
