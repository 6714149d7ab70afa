use crate::{problem, send, slug, text};
use axum::{
    Router,
    body::Body,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use edge::{AdmissionLimits, Crowd, JsonBody, admitted};
use futures_util::{StreamExt, future::join_all, stream};
use http::{Request, StatusCode};
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{advance, sleep},
};

const BURST: Duration = Duration::from_millis(500);
const DELAY: Duration = Duration::from_millis(200);
/// As many as make a crowd.
const CROWD: usize = 64;

struct Door {
    router: Router,
    /// How many of those inside may go.
    go: Arc<Semaphore>,
}

fn door(most: usize, delay: Option<Duration>) -> Door {
    let go = Arc::new(Semaphore::new(0));
    let waiting = go.clone();
    let wait = async move || {
        waiting.acquire().await.unwrap().forget();
        "done"
    };
    let reads = async |_: JsonBody| "read";
    let router = Router::new().route("/", get(wait)).route("/body", post(reads));
    let crowd = delay.map(|delay| Crowd { size: CROWD, burst: BURST, delay });
    let limits = AdmissionLimits { most, crowd };
    Door { router: admitted(router, "tests", limits, Arc::default()), go }
}

impl Door {
    async fn ask(&self) -> Response {
        send(&self.router, Request::get("/").body(Body::empty()).unwrap()).await
    }

    /// Comes in, and waits inside.
    async fn enter(&self, count: usize) -> Vec<JoinHandle<Response>> {
        let enter = |_| {
            let router = self.router.clone();
            tokio::spawn(async move {
                send(&router, Request::get("/").body(Body::empty()).unwrap()).await
            })
        };
        let inside = (0..count).map(enter).collect();
        // The clock stands still until nobody has anything to do.
        sleep(Duration::from_millis(1)).await;
        inside
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_their_number_requests_are_refused_until_one_has_left() {
    let door = door(3, None);
    let inside = door.enter(3).await;
    let refused = door.ask().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(slug(&problem(refused).await), "busy");
    door.go.add_permits(4);
    for answer in join_all(inside).await {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(door.ask().await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn when_a_crowd_stands_nobody_else_comes_in_until_it_is_gone() {
    let door = door(10_000, Some(DELAY));
    let mut inside = door.enter(CROWD).await;
    // A burst is let in, however large, and although its first have waited long.
    advance(DELAY * 2).await;
    inside.extend(door.enter(1_000).await);
    advance(BURST).await;
    assert_eq!(door.ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    door.go.add_permits(inside.len() + 1);
    for answer in join_all(inside).await {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(door.ask().await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_moves_on_keeps_nobody_out() {
    let door = door(10_000, Some(DELAY));
    let mut inside = VecDeque::from(door.enter(2 * CROWD).await);
    for _ in 0..100 {
        advance(DELAY / 4).await;
        door.go.add_permits(CROWD);
        for answer in join_all(inside.drain(..CROWD)).await {
            assert_eq!(answer.unwrap().status(), StatusCode::OK);
        }
        inside.extend(door.enter(CROWD).await);
    }
}

#[tokio::test(start_paused = true)]
async fn while_some_are_kept_out_a_crowd_is_no_burst() {
    let door = door(10_000, Some(DELAY));
    let inside = door.enter(CROWD).await;
    advance(BURST * 2).await;
    assert_eq!(door.ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    door.go.add_permits(inside.len());
    join_all(inside).await;
    // The next crowd comes at once: it is the same overload.
    let again = door.enter(CROWD).await;
    advance(DELAY * 2).await;
    assert_eq!(door.ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    door.go.add_permits(again.len());
    join_all(again).await;
    // A while after, it is a burst again.
    advance(BURST).await;
    let _burst = door.enter(CROWD).await;
    advance(DELAY * 2).await;
    let mut one_more = door.enter(1).await;
    door.go.add_permits(CROWD + 1);
    assert_eq!(one_more.remove(0).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_few_that_are_slow_keep_nobody_out() {
    let door = door(10_000, Some(DELAY));
    let _slow = door.enter(CROWD - 1).await;
    advance((BURST + DELAY) * 100).await;
    let mut others = door.enter(1).await;
    door.go.add_permits(CROWD);
    assert_eq!(others.remove(0).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn callers_that_are_slow_to_send_are_no_crowd() {
    let door = door(10_000, Some(DELAY));
    let post = |body| {
        let (router, json) = (door.router.clone(), "application/json");
        let request = Request::post("/body").header("content-type", json).body(body).unwrap();
        tokio::spawn(async move { send(&router, request).await })
    };
    let never = || stream::pending::<Result<Bytes, Infallible>>();
    let begun = || stream::iter([Ok(Bytes::from_static(b"{"))]).chain(never());
    let slow: Vec<_> = (0..2 * CROWD).map(|_| post(Body::from_stream(begun()))).collect();
    sleep((BURST + DELAY) * 10).await;
    let answer = post(Body::from("{}")).await.unwrap();
    assert_eq!((answer.status(), text(answer).await), (StatusCode::OK, "read".to_owned()));
    slow.iter().for_each(JoinHandle::abort);
}
