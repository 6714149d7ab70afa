//! An issuer of tokens elsewhere, with OpenID Connect Discovery, on a port of its own.

use axum::{Json, Router, extract::State, routing::get};
use edge::{Serving, run};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

#[derive(Clone)]
pub(super) struct Issuer {
    pub(super) url: String,
    state: Arc<Inner>,
    _stop: Arc<DropGuard>,
}

struct Inner {
    url: String,
    /// What it calls itself.
    name: Mutex<String>,
    /// None: it is broken.
    keys: Mutex<Option<Vec<Value>>>,
    asked: AtomicUsize,
}

impl Issuer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Inner {
            url: url.clone(),
            name: Mutex::new(url.clone()),
            keys: Mutex::new(Some(Vec::new())),
            asked: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .with_state(state.clone());
        let stop = CancellationToken::new();
        tokio::spawn(run(listener, router, stop.clone(), Serving::default()));
        Issuer { url, state, _stop: Arc::new(stop.drop_guard()) }
    }

    pub(super) fn has(&self, keys: Option<Vec<Value>>) {
        *self.state.keys.lock().unwrap() = keys;
    }

    pub(super) fn calls_itself(&self, name: &str) {
        *self.state.name.lock().unwrap() = name.to_owned();
    }

    /// How often it was asked for its keys.
    pub(super) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::Relaxed)
    }
}

async fn discovery(State(issuer): State<Arc<Inner>>) -> Json<Value> {
    let name = issuer.name.lock().unwrap().clone();
    Json(json!({"issuer": name, "jwks_uri": format!("{}/keys", issuer.url)}))
}

async fn keys(State(issuer): State<Arc<Inner>>) -> Result<Json<Value>, StatusCode> {
    issuer.asked.fetch_add(1, Ordering::Relaxed);
    let keys = issuer.keys.lock().unwrap().clone();
    keys.map(|keys| Json(json!({"keys": keys}))).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}
