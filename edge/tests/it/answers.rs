//! What every answer says to browsers and caches, and what need not be sent.

use crate::{problem, send, slug, text};
use axum::{
    Json, Router,
    body::Body,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use edge::{JsonBody, Limits, Origins, Problem, layered, layered_for, queried};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

const COMPRESS_FROM: u64 = 1_000;

/// A thing whose version stays while its state changes.
fn router(state: &Arc<AtomicU64>) -> Router {
    let state = state.clone();
    let thing = async move || {
        let state = state.load(Ordering::Relaxed);
        ([(header::ETAG, "\"3\"")], Json(json!({"version": 3, "state": state})))
    };
    let queries = Router::new()
        .route("/thing", get(thing))
        .route("/list", get(async || Json(vec!["85123A"; 1_000])))
        .route("/bad", get(async || Problem::not_found("x".repeat(5_000))))
        .route("/events", get(events))
        .route("/page", get(async || Html("<!doctype html>")))
        .route("/stored", get(async || ([(header::CACHE_CONTROL, "max-age=60")], "stored")));
    let commands = Router::new().route("/command", post(async |_: JsonBody| "y".repeat(5_000)));
    queried(queries, COMPRESS_FROM).merge(commands)
}

async fn events() -> Response {
    let event = axum::response::sse::Event::default().data("z".repeat(5_000));
    let events = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(event)]);
    axum::response::sse::Sse::new(events).into_response()
}

async fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    ask_of(&layered(router(&Arc::default()), Limits::default()), method, path, headers).await
}

async fn ask_of(router: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
    send(router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_answer_says_that_it_is_data_and_no_page() {
    let tag = ask(Method::GET, "/thing", &[]).await.headers()["etag"].clone();
    let known = [("if-none-match", tag.to_str().unwrap())];
    for (method, path, headers, cached) in [
        (Method::GET, "/thing", &[][..], "private, no-cache"),
        (Method::HEAD, "/thing", &[], "private, no-cache"),
        (Method::GET, "/thing", &known, "private, no-cache"),
        (Method::GET, "/stored", &[], "max-age=60"),
        (Method::GET, "/bad", &[], "no-store"),
        (Method::GET, "/nowhere", &[], "no-store"),
        (Method::POST, "/thing", &[], "no-store"),
        (Method::POST, "/command", &[], "no-store"),
        (Method::OPTIONS, "/thing", &[], "no-store"),
        (Method::GET, "/events", &[], "no-cache"),
    ] {
        let answer = ask(method.clone(), path, headers).await;
        let said = answer.headers();
        assert_eq!(said["x-content-type-options"], "nosniff", "{method} {path}");
        assert_eq!(said["referrer-policy"], "no-referrer", "{method} {path}");
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(said["content-security-policy"], policy, "{method} {path}");
        assert_eq!(said["cache-control"], cached, "{method} {path}");
        assert!(said.contains_key("x-correlation-id"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_page_of_ours_may_run_what_is_ours_and_nothing_else() {
    let page = ask(Method::GET, "/page", &[]).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let directives: Vec<_> = policy.split("; ").collect();
    for directive in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(directives.contains(&directive), "{policy}");
    }
}

#[tokio::test]
async fn a_tag_is_of_the_body_and_not_of_the_version_alone() {
    let state = Arc::default();
    let router = layered(router(&state), Limits::default());
    let first = ask_of(&router, Method::GET, "/thing", &[]).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with("\"3-b"), "{tag}");
    for asked in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        for method in [Method::GET, Method::HEAD] {
            let known = ask_of(&router, method, "/thing", &[("if-none-match", &asked)]).await;
            assert_eq!(known.status(), StatusCode::NOT_MODIFIED, "{asked}");
            assert_eq!(known.headers()["etag"], tag);
            assert!(!known.headers().contains_key("content-type"));
            assert_eq!(text(known).await, "");
        }
    }
    state.store(1, Ordering::Relaxed);
    let changed = ask_of(&router, Method::GET, "/thing", &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status(), StatusCode::OK);
    assert_ne!(changed.headers()["etag"], tag);
    let version = ask_of(&router, Method::GET, "/thing", &[("if-none-match", "\"3\"")]).await;
    assert_eq!(version.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_long_is_compressed_for_whoever_takes_that() {
    let plain = ask(Method::GET, "/list", &[]).await;
    let tag = plain.headers()["etag"].to_str().unwrap().to_owned();
    let whole = plain.into_body().collect().await.unwrap().to_bytes();
    for coding in ["gzip", "br", "zstd"] {
        let coded = ask(Method::GET, "/list", &[("accept-encoding", coding)]).await;
        assert_eq!(coded.headers()["content-encoding"], coding);
        assert_eq!(coded.headers()["vary"], "accept-encoding");
        let coded_tag = coded.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(coded_tag, format!("{}-{coding}\"", tag.trim_end_matches('"')));
        let sent = coded.into_body().collect().await.unwrap().to_bytes();
        assert!(sent.len() * 5 < whole.len(), "{coding}: {} of {}", sent.len(), whole.len());
        let asked = [("accept-encoding", coding), ("if-none-match", &coded_tag)];
        let known = ask(Method::GET, "/list", &asked).await;
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED, "{coding}");
        assert_eq!(known.headers()["etag"], coded_tag);
    }
}

#[tokio::test]
async fn what_is_short_what_goes_on_and_what_a_command_answers_is_sent_as_it_is() {
    for (method, path) in [
        (Method::GET, "/thing"),
        (Method::GET, "/events"),
        (Method::GET, "/bad"),
        (Method::POST, "/command"),
    ] {
        let answer = ask(method, path, &[("accept-encoding", "gzip, br, zstd")]).await;
        assert!(!answer.headers().contains_key("content-encoding"), "{path}");
    }
    let none = ask(Method::GET, "/list", &[("accept-encoding", "identity;q=0, x-odd")]).await;
    assert_eq!(none.status(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(slug(&problem(none).await), "not-acceptable");
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_if_they_are_named() {
    let shop = ("origin", "https://shop.example");
    let preflight = [shop, ("access-control-request-method", "POST")];
    let closed = layered(router(&Arc::default()), Limits::default());
    for (method, headers) in [(Method::GET, &[shop][..]), (Method::OPTIONS, &preflight)] {
        let answer = ask_of(&closed, method, "/thing", headers).await;
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
    let origins: Origins = "https://shop.example, https://desk.example".parse().unwrap();
    let open = layered_for(router(&Arc::default()), Limits::default(), &origins);
    for (path, status) in [("/thing", StatusCode::OK), ("/bad", StatusCode::NOT_FOUND)] {
        let answer = ask_of(&open, Method::GET, path, &[shop]).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://shop.example");
        let shown = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(shown.contains("etag") && shown.contains("daybook-position"), "{shown}");
        let vary: Vec<_> = answer.headers().get_all("vary").iter().collect();
        assert!(vary.iter().any(|it| it.to_str().unwrap().contains("origin")), "{vary:?}");
    }
    let allowed = ask_of(&open, Method::OPTIONS, "/command", &preflight).await;
    assert!(allowed.status().is_success());
    let sent = allowed.headers()["access-control-allow-headers"].to_str().unwrap();
    assert!(sent.contains("idempotency-key") && sent.contains("authorization"), "{sent}");
    let other = [("origin", "https://other.example")];
    let refused = ask_of(&open, Method::GET, "/thing", &other).await;
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    // They may be others, and none, while it runs.
    origins.set(&Origins::default());
    let refused = ask_of(&open, Method::GET, "/thing", &[shop]).await;
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    origins.set(&"*".parse().unwrap());
    let answer = ask_of(&open, Method::GET, "/thing", &other).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let body: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(body["version"], 3);
}
