use crate::Problem;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use std::time::Duration;

/// What one request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    /// From the first byte of the body to the response's headers.
    pub time: Duration,
    /// Of a body that is longer than this, or comes more slowly, the rest is cut off after its request was refused.
    pub leftover_bytes: usize,
    pub leftover_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_bytes: 1 << 20,
            time: Duration::from_secs(30),
            leftover_bytes: 64 << 20,
            leftover_time: Duration::from_secs(2),
        }
    }
}

pub(crate) async fn limit(
    State(limits): State<Limits>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(limits);
    let is_query = is_query(request.method());
    match tokio::time::timeout(limits.time, next.run(request)).await {
        Ok(response) => response,
        Err(_) if is_query => too_slow().into_response(),
        Err(_) => outcome_unknown().into_response(),
    }
}

fn is_query(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "too-slow")
        .detail("The answer took too long; ask for less, or again later.")
        .caused_by("time limit")
}

/// A command that was given up may have happened, or may happen yet.
fn outcome_unknown() -> Problem {
    Problem::unavailable("outcome-unknown", 1)
        .detail("The command may have happened. Send it again with the same Idempotency-Key.")
        .caused_by("time limit")
}
