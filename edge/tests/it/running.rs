use axum::{Router, routing::get};
use edge::{Limits, Unfinished, layered, run};
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

struct Server {
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    /// A request to `/wait` has come, and ends when `go` is told.
    came: Arc<Notify>,
    go: Arc<Notify>,
    running: JoinHandle<Result<(), Unfinished>>,
}

async fn server(deadline: Duration) -> Server {
    let (came, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let wait = {
        let (came, go) = (came.clone(), go.clone());
        async move || {
            came.notify_one();
            go.notified().await;
            "done"
        }
    };
    let router = layered(Router::new().route("/wait", get(wait)), Limits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let running = tokio::spawn(run(listener, router, shutdown.clone(), deadline));
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
