//! The edge around a small router of its own, with real connections where those matter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod access;
mod admission;
mod answers;
mod authority;
mod bodies;
mod peer;
mod problems;
mod rate;
mod request_line;
mod running;
mod tls;

use axum::{Router, body::Body, response::Response};
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

async fn send(router: &Router, request: Request<Body>) -> Response {
    router.clone().oneshot(request).await.expect("a router never fails")
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.expect("the body is in memory").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("we write UTF-8")
}

/// The problem in a response; its members agree with the response itself.
async fn problem(response: Response) -> Value {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_str(&text(response).await).expect("a problem is JSON");
    assert_eq!(problem["status"], status);
    problem
}

fn slug(problem: &Value) -> &str {
    let type_ = problem["type"].as_str().expect("a problem has a type");
    type_.strip_prefix(edge::PROBLEM_URN).expect("its type is ours")
}
