use crate::send;
use axum::{Router, body::Body, routing::get};
use edge::{Limits, Problem, RequestContext, layered};
use http::Request;
use serde_json::Value;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};
use tracing::instrument::WithSubscriber;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Runs `work` with a log of its own, and answers the lines it wrote.
    async fn of(work: impl Future<Output = ()>) -> Vec<Value> {
        let (lines, writer) = {
            let lines = Lines::default();
            (lines.clone(), move || lines.clone())
        };
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(writer);
        work.with_subscriber(log.finish()).await;
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn router() -> Router {
    async fn good(context: RequestContext) -> String {
        context.correlation.to_string()
    }
    async fn bad() -> Problem {
        Problem::internal("the disk is full")
    }
    let slow = || std::future::pending::<()>();
    let router = Router::new()
        .route("/good/{id}", get(good))
        .route("/bad", get(bad))
        .route("/slow", get(slow));
    layered(router, Limits::default())
}

#[tokio::test]
async fn a_request_is_one_line_with_its_correlation_id() {
    let lines = Lines::of(async {
        let request = Request::get("/good/5").header("x-correlation-id", "mine");
        let response = send(&router(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()["x-correlation-id"], "mine");
    })
    .await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(line["path"], "/good/{id}");
    assert_eq!(line["correlation"], "mine");
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &4.into()));
    assert!(line["duration_ms"].is_number());
}

#[tokio::test]
async fn the_cause_of_an_error_is_in_its_one_line() {
    let lines = Lines::of(async {
        send(&router(), Request::get("/bad").body(Body::empty()).unwrap()).await;
    })
    .await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&line["level"], &line["cause"]), (&"ERROR".into(), &"the disk is full".into()));
    assert_eq!(line["problem"], "urn:daybook:problem:internal-error");
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_a_line_too() {
    let lines = Lines::of(async {
        let request = Request::get("/slow").body(Body::empty()).unwrap();
        let router = router();
        let mut waiting = Box::pin(send(&router, request));
        assert!(futures_util::poll!(&mut waiting).is_pending());
    })
    .await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&line["status"], &line["path"]), (&499.into(), &"/slow".into()));
}
