use crate::{problem, send, slug, text};
use axum::{Router, body::Body, routing::post};
use edge::{JsonBody, Limits, Problem, layered};
use http::{Request, Response, StatusCode};
use std::time::Duration;

fn router() -> Router {
    async fn take(body: JsonBody) -> Result<String, Problem> {
        body.read(|fields| {
            let (name, count) =
                (fields.required::<String>("name"), fields.optional::<u32>("count"));
            Some(format!("{} {:?}", name?, count?))
        })
    }
    async fn nothing(body: JsonBody) -> Result<String, Problem> {
        body.read(|_| Some("nothing".to_owned()))
    }
    let router = Router::new().route("/take", post(take)).route("/nothing", post(nothing));
    layered(router, Limits { body_bytes: 1_000, time: Duration::from_secs(5), ..Limits::default() })
}

async fn post_as(path: &str, content_type: &str, body: impl Into<Body>) -> Response<Body> {
    let request = Request::post(path).header("content-type", content_type);
    send(&router(), request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn every_kind_of_bad_body_is_a_problem_of_its_own() {
    let deep = "[".repeat(900);
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(2_000));
    let json = "application/json";
    let cases: [(&str, &[u8], u16, &str); 14] = [
        (json, b"{\"name\": ", 400, "malformed-body"),
        (json, b"{\"name\": \"a\"} x", 400, "malformed-body"),
        (json, b"{\"name\": \"\xff\"}", 400, "malformed-body"),
        (json, b"{\"name\": \"a\", \"name\": \"b\"}", 400, "malformed-body"),
        (json, deep.as_bytes(), 400, "malformed-body"),
        (json, b"{\"name\": \"a\\u0000\"}", 422, "invalid-fields"),
        (json, b"{\"name\": 1}", 422, "invalid-fields"),
        (json, b"{\"name\": \"a\", \"count\": -1}", 422, "invalid-fields"),
        (json, b"{\"name\": \"a\", \"x\": 1}", 422, "invalid-fields"),
        (json, b"[]", 422, "invalid-fields"),
        (json, b"", 422, "invalid-fields"),
        (json, long.as_bytes(), 413, "body-too-large"),
        ("text/plain", b"{\"name\": \"a\"}", 415, "unsupported-media-type"),
        ("", b"{\"name\": \"a\"}", 415, "unsupported-media-type"),
    ];
    for (content_type, body, status, expected) in cases {
        let problem = problem(post_as("/take", content_type, body.to_vec()).await).await;
        let shown = body[..body.len().min(60)].escape_ascii();
        assert_eq!(
            (problem["status"].as_u64(), slug(&problem)),
            (Some(status.into()), expected),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_at_the_limit_too() {
    let chunks = (0..100).map(|_| Ok::<_, std::io::Error>("x".repeat(100)));
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let problem = problem(post_as("/take", "application/json", body).await).await;
    assert_eq!(slug(&problem), "body-too-large");
}

#[tokio::test]
async fn a_good_body_is_read_whatever_the_parameters_of_its_type() {
    let response = post_as("/take", "application/json; charset=utf-8", "{\"name\": \"a\"}").await;
    assert_eq!(text(response).await, "a None");
}

#[tokio::test]
async fn a_command_without_fields_needs_no_body() {
    let response = send(&router(), Request::post("/nothing").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_compressed_body_is_refused_rather_than_misread() {
    let request = Request::post("/take").header("content-type", "application/json");
    let request = request.header("content-encoding", "gzip").body(Body::from("{}")).unwrap();
    assert_eq!(slug(&problem(send(&router(), request).await).await), "unsupported-media-type");
}
