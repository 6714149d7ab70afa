//! What every request to the Stripe part passes first: the API key, and the provider's state of health.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Sandbox;
use super::behaviour::Mode;
use super::fault::Fault;
use super::line::Line;

pub(super) async fn pass(
    State(sandbox): State<Arc<Sandbox>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
    next: Next,
) -> Response {
    let behaviour = *sandbox.behaviour();
    match behaviour.mode {
        Mode::Down => {
            line.cut();
            Fault::internal().into_response()
        }
        Mode::Error => Fault::internal().into_response(),
        Mode::Up | Mode::Slow | Mode::Mute | Mode::Refuse => {
            if let Err(fault) = authorised(request.headers()) {
                return fault.into_response();
            }
            if behaviour.mode == Mode::Refuse && request.method() == Method::POST {
                return Fault::blocked().into_response();
            }
            let answer = next.run(request).await;
            if behaviour.mode == Mode::Slow {
                tokio::time::sleep(Duration::from_millis(behaviour.delay_ms)).await;
            }
            if behaviour.mode == Mode::Mute {
                line.cut();
            }
            answer
        }
    }
}

fn authorised(headers: &HeaderMap) -> Result<(), Fault> {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = sent.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    match key {
        None => Err(Fault::unauthorised("You did not provide an API key.")),
        Some(key) if key.starts_with("sk_live_") => {
            Err(Fault::unauthorised("This is a sandbox; a live key has no business here."))
        }
        Some(key) if key.starts_with("sk_") => Ok(()),
        Some(_) => Err(Fault::unauthorised("Invalid API Key provided.")),
    }
}
