//! What the gateway does by itself, as it is seen from behind it: a service that remembers what it was asked.

use super::{EVERYBODY, Gateway, found};
use crate::apart::{Shape, names};
use crate::shop::{eventually, post};
use crate::support::{free_port, http};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of a request that the service has read.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Answered,
    /// The connection is closed.
    BrokenOff,
}

/// At which of its addresses it was asked, and the lines of the request's head.
type Asked = (Ipv4Addr, Vec<String>);

/// Every service of the shop, as two processes at two addresses of one name, with the gateway before them.
pub(super) struct Upstream {
    pub(super) gateway: Gateway,
    /// Whether it is ready is not counted.
    asked: Arc<Mutex<Vec<Asked>>>,
    listening: Vec<JoinHandle<()>>,
}

impl Upstream {
    pub(super) async fn new(fate: Fate, settings: &[(&str, &str)]) -> Self {
        Self::listing(fate, EVERYBODY, settings).await
    }

    /// The same, where these alone are operators and services.
    pub(super) async fn listing(fate: Fate, welcome: &str, settings: &[(&str, &str)]) -> Self {
        let (asked, port) = (Arc::<Mutex<Vec<Asked>>>::default(), free_port());
        let (hosts, mut listening) = (Shape::Gateway.hosts(), Vec::new());
        for host in hosts {
            let listener = TcpListener::bind((*host, port)).await.unwrap();
            let asked = asked.clone();
            listening.push(tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, *host, fate, asked.clone()));
                }
            }));
        }
        let (shop, names) = (format!("shop:{port}"), names::lead_to(hosts).await.to_string());
        let told = [("SHOP", &*shop), ("GATEWAY_NAMESERVER", &*names)];
        let gateway = found(welcome, &[settings, &told].concat()).await;
        Upstream { gateway, asked, listening }
    }

    /// On a connection of its own, which no earlier answer has been through.
    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Response {
        let request = http().request(method, format!("{}{path}", self.gateway.url));
        request.body(body).send().await.unwrap()
    }

    /// What it was asked since it was last looked at.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Sends the first bytes of a connection. An error if it is closed already, as one that is not taken may be.
    async fn connect(&self, first: &str) -> io::Result<TcpStream> {
        let address = self.gateway.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(first.as_bytes()).await?;
        Ok(stream)
    }

    /// A connection on which a question was answered, if there may be another one.
    async fn connected(&self) -> Option<TcpStream> {
        let question = "GET /v1/stock HTTP/1.1\r\nhost: here\r\n\r\n";
        let mut stream = self.connect(question).await.ok()?;
        is_answered(&mut stream).await.then_some(stream)
    }
}

async fn is_answered(stream: &mut TcpStream) -> bool {
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.is_ok() && status == *b"HTTP/1.1 200"
}

async fn serve(stream: TcpStream, host: Ipv4Addr, fate: Fate, asked: Arc<Mutex<Vec<Asked>>>) {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    while let Some(head) = head(&mut reading).await {
        let is_check = head[0].contains(" /health/ready ");
        if !is_check {
            asked.lock().unwrap().push((host, head.clone()));
        }
        let has_all = body(&mut reading, &head).await.is_some();
        if !has_all || (fate == Fate::BrokenOff && !is_check) {
            return;
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        if writing.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn line(reading: &mut BufReader<OwnedReadHalf>) -> Option<String> {
    let mut line = String::new();
    let read = reading.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

async fn head(reading: &mut BufReader<OwnedReadHalf>) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        match line(reading).await? {
            last if last.is_empty() => return (!lines.is_empty()).then_some(lines),
            line => lines.push(line),
        }
    }
}

/// Reads what follows a head, and gives how much that is.
async fn body(reading: &mut BufReader<OwnedReadHalf>, head: &[String]) -> Option<usize> {
    let said = |name: &str| head.iter().find_map(|line| line.strip_prefix(name));
    if said("transfer-encoding: ").is_none() {
        let length = said("content-length: ").map_or(Some(0), |it| it.parse().ok())?;
        return reading.read_exact(&mut vec![0; length]).await.ok();
    }
    let mut whole = 0;
    loop {
        let length = usize::from_str_radix(&line(reading).await?, 16).ok()?;
        reading.read_exact(&mut vec![0; length]).await.ok()?;
        line(reading).await?;
        whole += length;
        if length == 0 {
            return Some(whole);
        }
    }
}

#[tokio::test]
async fn what_broke_off_the_gateway_sends_again_only_if_it_was_a_question() {
    let upstream = Upstream::new(Fate::BrokenOff, &[]).await;
    for (method, path, times) in [
        (Method::GET, "/v1/stock", 3),
        (Method::GET, "/v1/log/inventory/0", 1),
        (Method::POST, "/v1/stock/A/receive", 1),
        (Method::POST, "/v1/orders", 1),
        (Method::POST, "/v1/commands", 1),
        (Method::POST, "/v1/parked/discard", 1),
        (Method::POST, "/at/inventory/internal/commands", 1),
    ] {
        let body = if method == Method::GET { Vec::new() } else { b"{}".to_vec() };
        let answer = upstream.ask(method, path, body).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(answer.headers()["link"], "</problems/outcome-unknown>; rel=\"help\"");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "urn:daybook:problem:outcome-unknown");
        let asked = upstream.asked();
        assert_eq!(asked.len(), times, "{asked:?}");
    }
}

#[tokio::test]
async fn what_no_server_took_the_gateway_sends_to_the_other_one() {
    let mut upstream = Upstream::new(Fate::Answered, &[]).await;
    let gone = upstream.listening.pop().unwrap();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    // Some of these were for the one that is gone; whether the gateway has noticed yet makes no difference.
    for stream in 0..16 {
        let path = format!("/v1/stock/S{stream}/receive");
        let answer = upstream.ask(Method::POST, &path, b"{}".to_vec()).await;
        assert_eq!(answer.status(), 200, "{path}");
        let asked = upstream.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
    }
}

#[tokio::test]
async fn streams_are_spread_over_the_servers_and_all_that_is_asked_of_one_goes_to_one() {
    let upstream = Upstream::new(Fate::Answered, &[]).await;
    let url = |path: &str| format!("{}{path}", upstream.gateway.url);
    let hosts = || upstream.asked().into_iter().map(|(host, _)| host).collect::<BTreeSet<_>>();
    let mut both = BTreeSet::new();
    for stream in 0..16 {
        for act in ["receive", "adjust", "receive"] {
            let path = format!("/v1/stock/S{stream}/{act}");
            assert_eq!(post(&http(), &url(&path), None, &json!({})).await.status, 200);
        }
        let asking = json!({"stream": format!("stock-S{stream}"), "command": {"ship": {}}});
        let asked = url("/at/inventory/internal/commands");
        assert_eq!(post(&http(), &asked, None, &asking).await.status, 200);
        let one = hosts();
        assert_eq!(one.len(), 1, "S{stream}");
        both.extend(one);
    }
    assert_eq!(both.len(), 2, "all went to one");
    // Where a command makes a stream, its key makes the id.
    for key in ["k-1", "k-2", "k-3"] {
        for _ in 0..3 {
            post(&http(), &url("/v1/orders"), Some(key), &json!({})).await;
        }
        assert_eq!(hosts().len(), 1, "{key}");
    }
}

#[tokio::test]
async fn a_body_longer_than_the_gateway_lets_through_never_comes_to_the_service() {
    let upstream = Upstream::new(Fate::Answered, &[("GATEWAY_BODY_BYTES", "1000")]).await;
    // Many commands are bounded line by line.
    for (path, bytes, status) in [
        ("/v1/orders", 1_000, 200),
        ("/v1/orders", 1_001, 413),
        ("/v1/commands", 1_001, 200),
        ("/v1/commands/", 1_001, 413),
    ] {
        let answer = upstream.ask(Method::POST, path, vec![b' '; bytes]).await;
        assert_eq!(answer.status(), status, "{bytes} to {path}");
        let asked = upstream.asked();
        assert_eq!(asked.len(), usize::from(status == 200), "{asked:?}");
        if status == 413 {
            assert_eq!(answer.headers()["link"], "</problems/body-too-large>; rel=\"help\"");
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["type"], "urn:daybook:problem:body-too-large");
        }
    }
}

/// The head of the answer to a body that comes in chunks.
async fn ask_in_chunks(upstream: &Upstream, path: &str, headers: &str, chunks: &[usize]) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n{headers}\r\n"
    );
    let mut stream = upstream.connect(&head).await.unwrap();
    for length in chunks {
        // Who is refused may be cut off while he sends.
        let chunk = format!("{length:x}\r\n{}\r\n", " ".repeat(*length));
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let _ = stream.write_all(b"0\r\n\r\n").await;
    let mut answer = BufReader::new(stream);
    let mut told = String::new();
    while !told.contains("\r\n\r\n") {
        assert_ne!(answer.read_line(&mut told).await.unwrap(), 0, "{told}");
    }
    told.to_ascii_lowercase()
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_is_counted_and_none_passes_that_cannot_be() {
    let upstream = Upstream::new(Fate::Answered, &[("GATEWAY_BODY_BYTES", "10000")]).await;
    let long_head = format!("x-long: {}\r\n", "y".repeat(14_000));
    // It is not believed beside what comes in chunks.
    let short = "content-length: 2\r\n".to_owned();
    for (path, headers, chunks, status) in [
        ("/v1/orders", "", vec![2], 200),
        ("/v1/orders", "", vec![], 200),
        ("/v1/orders", "", vec![4_096, 4_096], 200),
        ("/v1/orders", "", vec![4_096, 4_096, 1], 411),
        ("/v1/orders", "", vec![1; 8_193], 411),
        ("/v1/orders", "", vec![10_001], 413),
        ("/v1/orders", "", vec![1_000; 9], 411),
        ("/v1/orders", &short, vec![8_193], 411),
        // Of which no more than this would be in the buffer.
        ("/v1/orders", &long_head, vec![1, 9_000], 411),
        ("/v1/orders", &long_head, vec![], 200),
        ("/at/inventory/internal/commands", "", vec![8_193], 411),
        ("/v1/commands", "", vec![20_000], 200),
    ] {
        let what = format!("{path}, {} of headers: {chunks:?}", headers.len());
        let told = ask_in_chunks(&upstream, path, headers, &chunks).await;
        assert!(told.starts_with(&format!("http/1.1 {status} ")), "{what}: {told}");
        let asked = upstream.asked();
        assert_eq!(asked.len(), usize::from(status == 200), "{what}: {asked:?}");
        if status == 411 {
            assert!(told.contains("</problems/length-required>; rel=\"help\""), "{told}");
        }
    }
}

#[tokio::test]
async fn one_client_has_so_many_connections_to_the_gateway_and_no_more() {
    let upstream = Upstream::new(Fate::Answered, &[("GATEWAY_CONNECTIONS", "2")]).await;
    // A connection is one, also while a request is under way on it.
    let begun = "POST /v1/stock/A/receive HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n{";
    let mut first = upstream.connect(begun).await.unwrap();
    eventually("its request is under way", async || {
        let asked = upstream.asked();
        if asked.len() == 1 { Ok(()) } else { Err(format!("{asked:?}")) }
    })
    .await;
    let second = upstream.connected().await.expect("a second one");
    assert!(upstream.connected().await.is_none(), "a third one");
    drop(second);
    eventually("there is room again", async || {
        upstream.connected().await.map(drop).ok_or_else(|| "no".to_owned())
    })
    .await;
    first.write_all(b"}").await.unwrap();
    assert!(is_answered(&mut first).await);
}
