//! Callers who send a byte now and then, to have a place for as long as they like. Each is sent away at a bound that has
//! a name, and nobody else notices them.

use crate::shop::{eventually, order, post, sell};
use crate::support::{World, binary, free_port};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// In place of `idle_connection_s`, `request_timeout_s` and `batch_idle_s`.
const BOUND_S: &str = "4";
/// Of each kind, as many as there are places for batches.
const DRIBBLERS: usize = 16;
const PAUSE: Duration = Duration::from_millis(100);

const HEAD: &str = "POST /v1/orders HTTP/1.1\r\nhost: here\r\nx-long: ";
const BODY: &str = "POST /v1/orders HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n\
     content-length: 100000\r\n\r\n";
const LINES: &str = "POST /v1/commands HTTP/1.1\r\nhost: here\r\n\
     content-type: application/x-ndjson\r\ncontent-length: 100000\r\n\r\n";

#[tokio::test]
async fn who_dribbles_a_head_a_body_or_lines_is_sent_away_and_keeps_nobody_from_being_served() {
    let world = World::new().await.without_kafka();
    let (mut command, port) = (binary(), free_port());
    for bound in ["IDLE_CONNECTION_S", "REQUEST_TIMEOUT_S", "BATCH_IDLE_S"] {
        command.env(format!("DAYBOOK_{bound}"), BOUND_S);
    }
    let daybook = world.spawn(command, port);
    daybook.is_ready().await;
    sell(&world, &daybook, "A", 250, 1_000).await;
    let url = format!("{}/v1/orders", daybook.url);
    let dribblers = [(HEAD, "x"), (BODY, " "), (LINES, "\n")];
    let dribbling = dribblers.map(|(begin, byte)| {
        let address = format!("127.0.0.1:{port}");
        join_all((0..DRIBBLERS).map(move |_| dribble(address.clone(), begin, byte)))
    });
    let served = async {
        let mut orders = 0;
        for _ in 0..20 {
            eventually("an order is placed beside them", async || {
                let placed = post(&daybook.http, &url, None, &order(&["A"], "pm_card_visa")).await;
                (placed.status == 201).then_some(()).ok_or(format!("{placed:?}"))
            })
            .await;
            orders += 1;
        }
        orders
    };
    let ([heads, bodies, lines], orders) = tokio::join!(
        async {
            let [heads, bodies, lines] = dribbling;
            let (heads, bodies, lines) = tokio::join!(heads, bodies, lines);
            [heads, bodies, lines]
        },
        served
    );
    assert_eq!(orders, 20);
    assert!(heads.iter().all(String::is_empty), "{heads:?}");
    let is = |answer: &String, status: &str| answer.starts_with(&format!("HTTP/1.1 {status}"));
    assert!(bodies.iter().all(|it| is(it, "503") && it.contains("outcome-unknown")), "{bodies:?}");
    assert!(lines.iter().all(|it| is(it, "200") && it.contains("request-timeout")), "{lines:?}");
    let idle = daybook.metric("http_connections_idle_total").await;
    assert!(idle.is_some_and(|idle| idle >= 16.0), "{idle:?}");
    assert_eq!(daybook.metric("daybook_batches_idle_total").await, Some(16.0));
    daybook.stop().await;
}

/// Begins, and adds a byte now and then until nobody takes it any more; returns what was answered.
async fn dribble(address: String, begin: &'static str, byte: &'static str) -> String {
    let (mut answers, mut line) = TcpStream::connect(address).await.unwrap().into_split();
    line.write_all(begin.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let sending = async {
        while line.write_all(byte.as_bytes()).await.is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
        std::future::pending().await
    };
    let reading = async {
        // A connection that was cut may be reset: what came before counts.
        let _ = answers.read_to_end(&mut answer).await;
    };
    let ended = async {
        tokio::select! { () = sending => {}, () = reading => {} }
    };
    let ended = tokio::time::timeout(crate::support::LIMIT, ended).await;
    ended.unwrap_or_else(|_| panic!("it is still listened to after {begin:?}"));
    String::from_utf8(answer).unwrap()
}
