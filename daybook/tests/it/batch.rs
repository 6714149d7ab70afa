//! Many commands in one request, through the real program.

use crate::shop::{eventually, pence, post, sell};
use crate::support::{Daybook, World, binary, free_port};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What comes back while lines are still sent.
pub(crate) struct Answers {
    reading: BufReader<OwnedReadHalf>,
    chunk: Vec<u8>,
}

/// Begins a request of many commands.
pub(crate) async fn begin(url: &str) -> (OwnedWriteHalf, Answers) {
    let address = url.trim_start_matches("http://");
    let (reading, mut sending) = TcpStream::connect(address).await.unwrap().into_split();
    let head = "POST /v1/commands HTTP/1.1\r\nhost: here\r\ncontent-type: application/x-ndjson\r\n\
                x-correlation-id: import-7\r\ntransfer-encoding: chunked\r\n\r\n";
    sending.write_all(head.as_bytes()).await.unwrap();
    (sending, Answers { reading: BufReader::new(reading), chunk: Vec::new() })
}

/// Sends what is a part of the body; nothing ends it. An error if the other end has gone.
pub(crate) async fn send(sending: &mut OwnedWriteHalf, text: &str) -> std::io::Result<()> {
    sending.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
}

impl Answers {
    pub(crate) async fn status(&mut self) -> u16 {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.reading.read_line(&mut head).await.unwrap() > 0, "it breaks off: {head}");
        }
        head["HTTP/1.1 ".len()..][..3].parse().unwrap()
    }

    /// The next answer, or none if there are no more.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.chunk.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let mut size = String::new();
            self.reading.read_line(&mut size).await.unwrap();
            let size = usize::from_str_radix(size.trim(), 16).ok().filter(|size| *size > 0)?;
            let mut chunk = vec![0; size + 2];
            self.reading.read_exact(&mut chunk).await.unwrap();
            self.chunk.extend_from_slice(&chunk[..size]);
        }
    }
}

#[tokio::test]
async fn each_line_is_answered_as_the_command_by_itself_would_be() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "A", 250, 10).await;
    let order = json!({"country": "GB", "payment_method": "pm_card_visa", "lines": [{"sku": "A", "quantity": 1}]});
    let lines = [
        json!({"path": "/v1/orders", "idempotency_key": "o-1", "body": order}),
        json!({"method": "POST", "path": "/v1/products", "body": {"sku": "B", "name": "B", "price": pence(5)}}),
        json!({"path": "/v1/products/B/reprice", "body": {"price": pence(7)}, "if_match": "\"1\""}),
        json!({"path": "/v1/products/B/reprice", "body": {"price": pence(8)}, "if_match": "\"1\""}),
        json!({"path": "/v1/stock/A/receive", "body": {"quantity": 0}}),
        json!({"path": "/v1/nowhere"}),
        json!({"path": "/v1/commands", "body": {}}),
        json!({"path": "/v1/orders", "idempotency_key": "o-1", "body": order}),
    ];
    let mut lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    lines.insert(4, "no json".to_owned());
    lines.insert(5, String::new());
    let answers = few(&daybook, &lines).await;
    let said: Vec<_> = answers
        .iter()
        .map(|it| (it["line"].as_u64().unwrap(), it["status"].as_u64().unwrap()))
        .collect();
    let expected =
        [(1, 201), (2, 201), (3, 200), (4, 412), (5, 400), (7, 422), (8, 404), (9, 404), (10, 201)];
    assert_eq!(said, expected, "{answers:#?}");
    assert_eq!(answers[0]["headers"]["etag"], "\"1\"");
    let id = answers[0]["body"]["stream"].as_str().unwrap().trim_start_matches("order-");
    assert_eq!(answers[0]["headers"]["location"], format!("/v1/orders/{id}"));
    assert!(answers[0]["headers"]["daybook-position"].as_str().unwrap().starts_with("orders/"));
    let url = format!("{}/v1/orders", daybook.url);
    let single = post(&daybook.http, &url, Some("o-1"), &order).await;
    assert_eq!(answers[0]["body"], single.body);
    assert_eq!(answers[8]["body"], single.body);
    assert_eq!(answers[5]["body"]["instance"], "/v1/stock/A/receive");
    assert_eq!(answers[5]["body"]["correlation"], "import-7");
    let path = format!("/v1/orders/{id}/history");
    let history = daybook.until("it is there", &path, |it| it["items"].is_array()).await;
    assert_eq!(history["items"][0]["correlation"], "import-7");
    let plain = daybook.http.post(format!("{}/v1/commands", daybook.url)).json(&json!({}));
    assert_eq!(plain.send().await.unwrap().status(), 415);
}

/// What other services ask for has no path that a line may have.
#[tokio::test]
async fn a_line_asks_for_commands_of_callers_and_nothing_else() {
    let world = World::new().await;
    let daybook = world.start().await;
    let queries = projections::routes();
    let of_operators: Vec<_> = queries.rows().filter(|row| row.method == Method::POST).collect();
    assert!(!of_operators.is_empty());
    let paths = of_operators.iter().map(|row| row.path).chain(["/internal/commands"]);
    let lines: Vec<_> = paths.map(|path| json!({"path": path}).to_string()).collect();
    let answers = few(&daybook, &lines).await;
    let said: Vec<_> = answers.iter().map(|it| it["status"].as_u64().unwrap()).collect();
    let mut expected = vec![404; of_operators.len()];
    expected.push(422);
    assert_eq!(said, expected, "{answers:#?}");
}

const LINES: u64 = 10_000;
const SKUS: u64 = 50;

fn is_bad(number: u64) -> bool {
    number.is_multiple_of(10)
}

/// Pieces for one SKU after the other, and every tenth line is wrong.
fn line(number: u64) -> String {
    let body = if is_bad(number) { json!({"quantity": -1}) } else { json!({"quantity": 1}) };
    let path = format!("/v1/stock/N{}/receive", number % SKUS);
    json!({"path": path, "idempotency_key": format!("n-{number}"), "body": body}).to_string() + "\n"
}

/// Sends a few lines before it reads anything, and reads all answers.
async fn few(daybook: &Daybook, lines: &[String]) -> Vec<Value> {
    let (mut sending, mut answers) = begin(&daybook.url).await;
    send(&mut sending, &lines.join("\n")).await.unwrap();
    send(&mut sending, "").await.unwrap();
    assert_eq!(answers.status().await, 200);
    let mut all = Vec::new();
    while let Some(answer) = answers.next().await {
        all.push(answer);
    }
    all
}

/// Sends all lines, and cuts the connection after so many answers.
async fn import(daybook: &Daybook, most: usize) -> Vec<Value> {
    let (mut sending, mut answers) = begin(&daybook.url).await;
    let sending = tokio::spawn(async move {
        for number in 1..=LINES {
            // Whoever reads may have gone.
            if send(&mut sending, &line(number)).await.is_err() {
                return;
            }
        }
        let _ = send(&mut sending, "").await;
        // Whoever closes his side has gone.
        std::future::pending::<()>().await;
    });
    assert_eq!(answers.status().await, 200);
    let mut all = Vec::new();
    while all.len() < most
        && let Some(answer) = answers.next().await
    {
        all.push(answer);
    }
    sending.abort();
    all
}

fn verdicts(answers: &[Value]) {
    for (answer, number) in answers.iter().zip(1..) {
        let status = if is_bad(number) { 422 } else { 200 };
        assert_eq!(
            (&answer["line"], &answer["status"]),
            (&json!(number), &json!(status)),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_lines_cut_in_the_middle_and_sent_again_are_done_once() {
    let world = World::new().await;
    let daybook = world.start().await;
    let half = usize::try_from(LINES / 2).unwrap();
    let first = import(&daybook, half).await;
    assert_eq!(first.len(), half);
    verdicts(&first);
    let again = import(&daybook, usize::MAX).await;
    assert_eq!(again.len(), 2 * half);
    verdicts(&again);
    for (first, again) in first.iter().zip(&again) {
        assert_eq!((&first["headers"], &first["status"]), (&again["headers"], &again["status"]));
        if first["status"] == 200 {
            assert_eq!(first["body"], again["body"]);
        }
    }
    // Lines of one stream were done in their order: each has its version.
    let of_one = again.iter().filter(|it| it["body"]["stream"] == "stock-N1");
    let versions: Vec<_> = of_one.map(|it| it["body"]["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=LINES / SKUS).collect::<Vec<_>>());
    let sql = "select count(*), count(distinct stream) from inventory.event";
    let row = world.sql().await.query_one(sql, &[]).await.unwrap();
    let good = (1..=LINES).filter(|number| !is_bad(*number)).count();
    let streams = (1..=LINES).filter(|it| !is_bad(*it)).map(|it| it % SKUS);
    let streams = streams.collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(row.get::<_, i64>(0), i64::try_from(good).unwrap());
    assert_eq!(row.get::<_, i64>(1), i64::try_from(streams).unwrap());
    assert_eq!(daybook.metric("daybook_batches").await, Some(0.0));
}

#[tokio::test]
async fn beyond_their_number_such_requests_are_refused_and_one_that_sends_nothing_is_ended() {
    let world = World::new().await;
    let mut command = binary();
    command.env("DAYBOOK_BATCHES", "1").env("DAYBOOK_BATCH_IDLE_S", "2");
    command.env("DAYBOOK_BATCH_LINE_BYTES", "100");
    let daybook = world.spawn(command, free_port());
    daybook.is_ready().await;
    let (mut sending, mut answers) = begin(&daybook.url).await;
    let long = json!({"path": "/v1/orders", "body": {"country": "x".repeat(200)}}).to_string();
    send(&mut sending, &format!("{long}\n{}\n{{\"path\"", json!({"path": "/v1/none"})))
        .await
        .unwrap();
    assert_eq!(answers.status().await, 200);
    assert_eq!(answers.next().await.unwrap()["status"], 413);
    assert_eq!(answers.next().await.unwrap()["status"], 404);
    let (_sending, mut second) = begin(&daybook.url).await;
    assert_eq!(second.status().await, 503);
    // Half a line, and nothing more.
    assert_eq!(answers.next().await.unwrap()["status"], 408);
    assert_eq!(answers.next().await, None);
    eventually("the place is free again", async || {
        let (mut sending, mut third) = begin(&daybook.url).await;
        send(&mut sending, "").await.unwrap();
        let status = third.status().await;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}
