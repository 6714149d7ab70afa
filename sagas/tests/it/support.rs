//! A sandbox on a port of its own, with a book in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::{RequestBuilder, Response};
use sagas::sandbox::{Behaviour, Mode, OrderEntry, Report, SandboxError};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running sandbox. Its book outlives it as long as the folder is kept.
pub(crate) struct Sandbox {
    pub(crate) url: String,
    folder: Arc<TempDir>,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), SandboxError>>,
    http: reqwest::Client,
}

impl Sandbox {
    pub(crate) async fn start() -> Self {
        Self::with_book(Arc::new(TempDir::new().unwrap())).await
    }

    async fn with_book(folder: Arc<TempDir>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let (book, token) = (book_in(&folder), shutdown.clone());
        let running =
            tokio::spawn(async move { sagas::sandbox::run(listener, &book, token).await });
        rustls::crypto::ring::default_provider().install_default().ok();
        Self { url, folder, shutdown, running, http: reqwest::Client::new() }
    }

    pub(crate) fn book(&self) -> PathBuf {
        book_in(&self.folder)
    }

    /// Ends it in good order, and gives the folder with the book.
    pub(crate) async fn stop(self) -> Arc<TempDir> {
        self.shutdown.cancel();
        drop(self.http);
        self.running.await.unwrap().unwrap();
        self.folder
    }

    /// Another sandbox with the same book.
    pub(crate) async fn restart(self) -> Self {
        Self::with_book(self.stop().await).await
    }

    pub(crate) async fn reopen(folder: Arc<TempDir>) -> Self {
        Self::with_book(folder).await
    }

    pub(crate) fn post(&self, path: &str, key: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth("sk_test_it");
        let request = request.form(form);
        if key.is_empty() { request } else { request.header("Idempotency-Key", key) }
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth("sk_test_it");
        Seen::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn authorise(&self, key: &str, order: &str, method: &str) -> Seen {
        let form = authorisation(order, method);
        Seen::of(self.post("/v1/payment_intents", key, &form).send().await.unwrap()).await
    }

    pub(crate) async fn behave(&self, mode: Mode, delay_ms: u64) {
        let url = format!("{}/sandbox/behaviour", self.url);
        let wanted = Behaviour { mode, delay_ms };
        self.http.post(url).json(&wanted).send().await.unwrap().error_for_status().unwrap();
    }

    pub(crate) async fn report(&self) -> Report {
        let url = format!("{}/sandbox/book", self.url);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// What the book says of one order; the order must have had one currency.
    pub(crate) async fn entry(&self, order: &str) -> Option<OrderEntry> {
        let url = format!("{}/sandbox/book?order={order}", self.url);
        let report: Report = self.http.get(url).send().await.unwrap().json().await.unwrap();
        assert!(report.orders.len() <= 1);
        report.orders.into_iter().next()
    }
}

fn book_in(folder: &TempDir) -> PathBuf {
    folder.path().join("book.jsonl")
}

pub(crate) fn lines(book: &Path) -> usize {
    std::fs::read_to_string(book).unwrap().lines().count()
}

pub(crate) fn authorisation<'a>(order: &'a str, method: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("amount", "1095"),
        ("currency", "gbp"),
        ("payment_method", method),
        ("capture_method", "manual"),
        ("confirm", "true"),
        ("metadata[order]", order),
        ("metadata[attempt]", "1"),
    ]
}

/// An answer that has been read to its end.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let replayed = response.headers().contains_key("idempotent-replayed");
        Self { status, replayed, body: response.json().await.unwrap() }
    }

    pub(crate) fn id(&self) -> &str {
        assert_eq!(self.status, 200, "{:#}", self.body);
        self.body["id"].as_str().unwrap()
    }

    pub(crate) fn error(&self) -> &Value {
        assert_ne!(self.status, 200, "{:#}", self.body);
        &self.body["error"]
    }
}
