//! One line per request, whatever becomes of it, and the last touch to what leaves: every error is a
//! problem, every response carries its correlation id.

use crate::{
    Problem, RequestContext,
    problem::{Occurrence, PROBLEM_URN},
    request_context::CORRELATION_ID,
};
use axum::{
    body::{Body, HttpBody},
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, Method, StatusCode, header};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Only this much of a refusal of the router's own is read for its text.
const MAX_REFUSAL_BYTES: usize = 8 * 1024;
/// Seconds; from a cached answer to the time limit.
pub(crate) const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

pub(crate) async fn log_request(mut request: Request, next: Next) -> Response {
    let context = RequestContext::of(request.headers());
    request.extensions_mut().insert(context.clone());
    let line = Line::begin(&request, context.correlation.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let occurrence = Occurrence { path: &path, correlation: &context.correlation };
    let mut response = finish(&method, response, occurrence).await;
    if let Ok(correlation) = HeaderValue::from_str(&context.correlation) {
        response.headers_mut().insert(CORRELATION_ID, correlation);
    }
    line.end(&response);
    response
}

async fn finish(method: &Method, mut response: Response, occurrence: Occurrence<'_>) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return without_body_for_head(method, problem.response(Some(occurrence)));
    }
    // Nobody routes OPTIONS, and the router adds `Allow` to its refusal further out.
    if method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.body_mut() = Body::empty();
        return response;
    }
    if response.status().is_client_error() || response.status().is_server_error() {
        let problem = problem_of_bare_refusal(response).await;
        return without_body_for_head(method, problem.response(Some(occurrence)));
    }
    response
}

/// The router and axum's own extractors refuse in plain text: unknown path, wrong method.
async fn problem_of_bare_refusal(response: Response) -> Problem {
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, MAX_REFUSAL_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let reason = parts.status.canonical_reason().unwrap_or("error");
    let slug = reason.to_ascii_lowercase().replace(|char: char| !char.is_ascii_alphanumeric(), "-");
    let mut problem = Problem::new(parts.status, slug);
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = parts.headers.get(&name) {
            problem = problem.header(name, value.clone());
        }
    }
    match text.trim() {
        "" => match bare_refusal(parts.status) {
            Some(detail) => problem.detail(detail),
            None => problem,
        },
        cause if parts.status.is_server_error() => problem.caused_by(cause),
        detail => problem.detail(detail),
    }
}

/// What the router leaves unsaid. The path is in the problem already, as its instance.
fn bare_refusal(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::NOT_FOUND => Some("There is nothing at this path."),
        StatusCode::METHOD_NOT_ALLOWED => {
            Some("This path does not take this method; the header Allow lists those it takes.")
        }
        _ => None,
    }
}

fn without_body_for_head(method: &Method, response: Response) -> Response {
    if method == Method::HEAD { response.map(|_| Body::empty()) } else { response }
}

/// The line of a request, written when it ends, or when its caller goes away before.
struct Line {
    method: Method,
    path: String,
    correlation: Arc<str>,
    began: Instant,
    written: bool,
}

impl Line {
    fn begin(request: &Request, correlation: Arc<str>) -> Self {
        // Never the path itself: a label of a metric must come from a small set.
        let path = request.extensions().get::<MatchedPath>().map_or("unmatched", |it| it.as_str());
        Line {
            method: request.method().clone(),
            path: path.to_owned(),
            correlation,
            began: Instant::now(),
            written: false,
        }
    }

    fn end(mut self, response: &Response) {
        self.written = true;
        let problem = response.extensions().get::<Problem>();
        self.write(
            response.status().as_u16(),
            response.body().size_hint().exact(),
            problem,
            problem.and_then(Problem::cause),
        );
    }

    fn write(
        &self,
        status: u16,
        bytes: Option<u64>,
        problem: Option<&Problem>,
        cause: Option<&str>,
    ) {
        let in_a_rush = problem.is_some_and(Problem::is_in_a_rush);
        let problem = problem.map(|problem| format!("{PROBLEM_URN}{}", problem.slug()));
        let took = self.began.elapsed();
        self.measure(status, took);
        let duration_ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        let method = self.method.as_str();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "request", method, path = self.path, status, duration_ms, bytes,
                    correlation = &*self.correlation, problem, cause,
                )
            };
        }
        match status {
            500 => line!(error),
            _ if in_a_rush => line!(debug),
            501.. => line!(warn),
            ..500 => line!(info),
        }
    }

    fn measure(&self, status: u16, took: Duration) {
        let labels = [
            ("method", known_method(&self.method).to_owned()),
            ("path", self.path.clone()),
            ("status", status.to_string()),
        ];
        metrics::counter!("http_requests_total", &labels).increment(1);
        metrics::histogram!("http_request_duration_seconds", &labels[..2])
            .record(took.as_secs_f64());
    }
}

/// Anybody may invent a method; only these become labels.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.written {
            // 499 is what nginx says of a client that did not wait.
            self.write(499, None, None, Some("the caller went away"));
        }
    }
}
