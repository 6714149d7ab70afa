//! One address in front of the processes of a shop that runs in parts: for callers, and, by name, for the services
//! among themselves. A part may run in several processes; whoever does not take the connection is passed over.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use reqwest::{Client, StatusCode};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What one process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) service: &'static str,
    pub(crate) commands: bool,
    pub(crate) queries: bool,
    pub(crate) port: u16,
}

#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) url: String,
    served: Arc<Mutex<Turns>>,
    /// How it speaks to those behind it.
    scheme: &'static str,
    http: Client,
}

#[derive(Default)]
struct Turns {
    served: Vec<Served>,
    next: usize,
}

impl Front {
    pub(crate) async fn open(scheme: &'static str, http: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let front = Front { url, served: Arc::default(), scheme, http };
        let router = Router::new().fallback(pass).with_state(front.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        front
    }

    /// Where a service finds another one.
    pub(crate) fn of(&self, service: &str) -> String {
        format!("{}/at/{service}", self.url)
    }

    pub(crate) fn serve(&self, served: Served) {
        let all = &mut self.served.lock().unwrap().served;
        if !all.contains(&served) {
            all.push(served);
        }
    }

    /// Those who serve it, each first in its turn.
    fn ports(&self, service: &str, queries: bool) -> Vec<u16> {
        let mut turns = self.served.lock().unwrap();
        let serves =
            |it: &&Served| it.service == service && if queries { it.queries } else { it.commands };
        let mut ports: Vec<_> = turns.served.iter().filter(serves).map(|it| it.port).collect();
        turns.next += 1;
        if !ports.is_empty() {
            let first = turns.next % ports.len();
            ports.rotate_left(first);
        }
        ports
    }
}

async fn pass(State(front): State<Front>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let asked = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let (service, path) = match asked.strip_prefix("/at/").and_then(|it| it.split_once('/')) {
        Some((service, path)) => (service, format!("/{path}")),
        None => (service_of(asked), asked.to_owned()),
    };
    let queries = parts.method == Method::GET && !path.starts_with("/v1/log/");
    for port in front.ports(service, queries) {
        let to = format!("{}://127.0.0.1:{port}{path}", front.scheme);
        let mut headers = parts.headers.clone();
        headers.remove(header::HOST);
        let sending = front.http.request(parts.method.clone(), to).headers(headers);
        match sending.body(body.clone()).send().await {
            Ok(answer) => {
                let (status, mut headers) = (answer.status(), answer.headers().clone());
                // It goes on as a whole.
                headers.remove(header::TRANSFER_ENCODING);
                let Ok(body) = answer.bytes().await else { break };
                let mut response = (status, Body::from(body)).into_response();
                *response.headers_mut() = headers;
                return response;
            }
            // Nothing was sent.
            Err(error) if error.is_connect() => {}
            Err(_) => break,
        }
    }
    StatusCode::BAD_GATEWAY.into_response()
}

/// Whose the path is, for callers.
fn service_of(path: &str) -> &str {
    let noun = path.trim_start_matches("/v1/").split(['/', '?']).next().unwrap_or_default();
    match noun {
        "products" => "catalogue",
        "stock" => "inventory",
        "payments" => "payments",
        "checkouts" => "checkout",
        _ => "orders",
    }
}
