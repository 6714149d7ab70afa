use axum::{
    Router,
    routing::{get, post},
};
use edge::{JsonBody, Limits, Serving, Unfinished, layered, run};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(10);

const CONNECTIONS: usize = 20;

/// Bytes of an answer that no socket's buffers hold.
const LARGE: usize = 64 << 20;

struct Server {
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    /// A request to `/wait` has come, and ends when `go` is told.
    came: Arc<Notify>,
    go: Arc<Notify>,
    running: JoinHandle<Result<(), Unfinished>>,
}

async fn server(deadline: Duration) -> Server {
    serving(Serving { connections: CONNECTIONS, deadline, ..Serving::default() }).await
}

async fn serving(bounds: Serving) -> Server {
    let (came, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let wait = {
        let (came, go) = (came.clone(), go.clone());
        async move || {
            came.notify_one();
            go.notified().await;
            "done"
        }
    };
    let body = async |_: JsonBody| "read";
    let large = async || vec![0; LARGE];
    let router = Router::new().route("/wait", get(wait)).route("/body", post(body));
    let router = router.route("/large", get(large));
    let router = layered(router, Limits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let running = tokio::spawn(run(listener, router, shutdown.clone(), bounds));
    Server { address, shutdown, came, go, running }
}

async fn asking(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /wait HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    timeout(SOON, server.came.notified()).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    // A connection that was cut may be reset: what came before counts.
    let _ = timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_flight_and_accepts_nothing_new() {
    let server = server(SOON).await;
    let stream = asking(&server).await;
    server.shutdown.cancel();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.go.notify_one();
    assert!(answer(stream).await.ends_with("done"));
    timeout(SOON, server.running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_returns_at_its_deadline_whatever_is_in_flight() {
    let server = server(Duration::from_millis(100)).await;
    let stream = asking(&server).await;
    server.shutdown.cancel();
    let ended = timeout(SOON, server.running).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().connections, 1);
    assert_eq!(answer(stream).await, "");
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_a_shutdown_up() {
    let server = server(Duration::from_secs(60)).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    let used = asking(&server).await;
    server.go.notify_one();
    let mut used = used;
    let mut some = [0; 1024];
    assert!(used.read(&mut some).await.unwrap() > 0);
    server.shutdown.cancel();
    timeout(SOON, server.running).await.unwrap().unwrap().unwrap();
    drop((silent, used));
}

#[tokio::test]
async fn a_connection_without_a_whole_request_is_closed_and_one_that_waits_for_its_answer_is_not() {
    let metrics = edge::metrics::install().unwrap();
    let idle = Duration::from_millis(200);
    let server = serving(Serving { idle, ..Serving::default() }).await;
    let waiting = asking(&server).await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET /wait HTTP/1.1\r\nhost:").await.unwrap();
    let silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(answer(half).await, "");
    assert_eq!(answer(silent).await, "");
    server.go.notify_one();
    assert!(answer(waiting).await.ends_with("done"));
    // The last one had its answer, and then nothing more to ask.
    let shown = metrics.render();
    assert!(shown.contains("http_connections_idle_total 3\n"), "{shown}");
}

/// The whole of a request is sent before any of its answer is read, as most clients do.
#[tokio::test]
async fn whoever_is_refused_while_still_sending_sees_why_and_keeps_the_connection() {
    let server = server(SOON).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = vec![b' '; 8 << 20];
    let plain = format!("content-length: {}\r\n\r\n", body.len()).into_bytes();
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()).into_bytes();
    for (headers, end) in [(plain, &b""[..]), (chunked, b"\r\n0\r\n\r\n")] {
        for (method, status) in [("PUT", "405"), ("POST", "413")] {
            let head = format!("{method} /body HTTP/1.1\r\nhost: here\r\n");
            for part in [head.as_bytes(), &headers, &body, end] {
                timeout(SOON, stream.write_all(part)).await.unwrap().unwrap();
            }
            let mut some = [0; 4096];
            let read = timeout(SOON, stream.read(&mut some)).await.unwrap().unwrap();
            let answer = String::from_utf8_lossy(&some[..read]);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method}: {answer}");
        }
    }
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    server.go.notify_one();
    assert!(answer(stream).await.ends_with("done"));
}

#[tokio::test]
async fn whoever_asks_before_sending_too_much_need_not_send_it() {
    let server = server(SOON).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /body HTTP/1.1\r\nhost: here\r\nexpect: 100-continue\r\ncontent-length: 9999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(stream).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn beyond_their_number_connections_wait_until_one_is_closed() {
    let server = server(SOON).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(asking(&server).await);
    }
    let mut waits = TcpStream::connect(server.address).await.unwrap();
    waits.write_all(b"GET /wait HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let came = timeout(Duration::from_millis(300), server.came.notified()).await;
    assert!(came.is_err(), "one more than there is room for was let in");
    drop(open.pop());
    timeout(SOON, server.came.notified()).await.unwrap();
}

#[tokio::test]
async fn a_connection_whose_caller_takes_nothing_of_his_answer_is_closed() {
    let stalled = Duration::from_millis(200);
    let deadline = Duration::from_secs(60);
    let server = serving(Serving { stalled, deadline, ..Serving::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let mut first = [0; 1024];
    assert!(timeout(SOON, stream.read(&mut first)).await.unwrap().unwrap() > 0);
    // It has begun, and would be waited for until the deadline.
    server.shutdown.cancel();
    timeout(SOON, server.running).await.unwrap().unwrap().unwrap();
    let mut rest = Vec::new();
    // A connection that was cut may be reset.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() < LARGE - first.len(), "{} bytes came", rest.len());
}
