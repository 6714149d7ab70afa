//! The last touch to what leaves: every error is a problem, and every answer carries its correlation id and says what
//! a browser and a cache may make of it.

use crate::{Problem, RequestContext, problem::Occurrence, request_context::CORRELATION_ID};
use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// Only this much of a refusal of the router's own is read for its text.
const MAX_REFUSAL_BYTES: usize = 8 * 1024;

/// What every answer says that does not say otherwise itself: it is what it says it is, its address is nobody else's
/// business, and no cache keeps it.
const SAID: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Data is no page: nothing in it is run or shown.
const DATA: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// A page of ours runs the scripts of ours, asks us, and is part of no other.
const PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(crate) async fn finish_answer(request: Request, next: Next) -> Response {
    let context = request.extensions().get().cloned();
    let context = context.unwrap_or_else(|| RequestContext::of(request.headers()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let occurrence = Occurrence { path: &path, correlation: &context.correlation };
    let mut response = finish(&method, response, occurrence).await;
    let headers = response.headers_mut();
    if let Ok(correlation) = HeaderValue::from_str(&context.correlation) {
        headers.insert(CORRELATION_ID, correlation);
    }
    say(headers);
    response
}

fn say(headers: &mut HeaderMap) {
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"text/html"));
    let policy = if is_page { PAGE } else { DATA };
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    for (name, value) in SAID {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

async fn finish(method: &Method, mut response: Response, occurrence: Occurrence<'_>) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let mut told = problem.response(Some(occurrence));
        // What others have said of it on its way stays said.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        for (name, value) in response.headers() {
            told.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        return without_body_for_head(method, told);
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
