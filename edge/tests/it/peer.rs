//! What is asked of another service, with real connections.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use edge::{Answered, BreakerSettings, Deadline, Peer, PeerLimits, Problem, Unanswered};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// Answers its n-th question, counted from 1, as it is told to.
struct Answers(fn(usize) -> Response, AtomicUsize);

async fn answer(State(answers): State<Arc<Answers>>, deadline: Deadline) -> Response {
    if let Err(problem) = deadline.check() {
        return problem.into_response();
    }
    (answers.0)(answers.1.fetch_add(1, Ordering::SeqCst) + 1)
}

async fn peer(limits: PeerLimits, how: fn(usize) -> Response) -> (Peer, Arc<Answers>) {
    let answers = Arc::new(Answers(how, AtomicUsize::new(0)));
    let router = Router::new().route("/it", post(answer)).with_state(answers.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (Peer::new("them", &url, limits).unwrap(), answers)
}

async fn ask(peer: &Peer) -> Result<Answered, Unanswered> {
    peer.post("/it", "saga", &HeaderMap::new(), &json!({})).await
}

fn quick() -> PeerLimits {
    PeerLimits { retry_first: Duration::from_millis(1), ..PeerLimits::default() }
}

fn busy() -> Response {
    Problem::unavailable("busy", 1).into_response()
}

#[tokio::test]
async fn what_fails_in_passing_is_tried_again() {
    let twice_busy = |nth| if nth < 3 { busy() } else { Json(json!({})).into_response() };
    let (peer, answers) = peer(quick(), twice_busy).await;
    assert!(matches!(ask(&peer).await, Ok(Answered::Done(_))));
    assert_eq!(answers.1.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_is_told_by_its_slug() {
    let refusing = |_| Problem::new(StatusCode::CONFLICT, "out-of-stock").into_response();
    let (peer, answers) = peer(quick(), refusing).await;
    match ask(&peer).await {
        Ok(Answered::Refused(StatusCode::CONFLICT, slug)) => assert_eq!(slug, "out-of-stock"),
        other => panic!("{other:?}"),
    }
    assert_eq!(answers.1.load(Ordering::SeqCst), 1, "nobody asks again");
}

#[tokio::test]
async fn retries_have_a_budget_of_their_own() {
    let limits = PeerLimits { retry_percent: 0, retry_floor: 1, ..quick() };
    let (peer, answers) = peer(limits, |_| busy()).await;
    let questions = 40;
    for _ in 0..questions {
        assert!(matches!(ask(&peer).await, Err(Unanswered::Status(..))));
    }
    // One a second, kept for ten seconds, and not three for each question.
    let tries = answers.1.load(Ordering::SeqCst);
    assert!((questions..=questions + 30).contains(&tries), "{tries}");
}

#[tokio::test]
async fn who_fails_again_and_again_is_left_alone_and_then_tried() {
    let breaker = BreakerSettings {
        failures: 3,
        first_pause: Duration::from_millis(50),
        longest_pause: Duration::from_millis(50),
    };
    let limits = PeerLimits { retries: 0, breaker, ..quick() };
    let broken =
        |nth| if nth < 4 { StatusCode::BAD_GATEWAY } else { StatusCode::OK }.into_response();
    let (peer, answers) = peer(limits, broken).await;
    for _ in 0..3 {
        assert!(matches!(ask(&peer).await, Err(Unanswered::Status(..))));
    }
    assert!(matches!(ask(&peer).await, Err(Unanswered::LeftAlone(_))));
    assert_eq!(answers.1.load(Ordering::SeqCst), 3);
    let waiting = async {
        while ask(&peer).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it is tried again");
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_given_up() {
    let limits = PeerLimits {
        answer: Duration::from_millis(20),
        deadline: Duration::from_millis(200),
        ..quick()
    };
    // The kernel takes connections for it; it never looks.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let peer = Peer::new("them", &url, limits).unwrap();
    assert!(matches!(ask(&peer).await, Err(Unanswered::TimedOut(_))));
}
