use crate::{problem, send, slug};
use axum::{Router, body::Body, extract::ConnectInfo, response::Response, routing::get};
use edge::{Limits, Problem, Proxies, Quota, RateLimit, RouteQuotas, layered};
use http::{Request, StatusCode};
use std::net::SocketAddr;

fn endpoints() -> Router {
    Router::new()
        .route("/", get(async || "done"))
        .route("/bad", get(async || Problem::not_found("There is none.")))
}

fn from(address: &str) -> ConnectInfo<SocketAddr> {
    ConnectInfo(address.parse().unwrap())
}

async fn ask_at(router: &Router, path: &str, address: &str) -> Response {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(from(address));
    send(router, request).await
}

async fn ask(router: &Router, address: &str) -> Response {
    ask_at(router, "/", address).await
}

/// Asks until he is refused: what comes back to him meanwhile delays it, and no more.
async fn refused(router: &Router, address: &str) -> Response {
    for _ in 0..10_000 {
        let answer = ask(router, address).await;
        if answer.status() != StatusCode::OK {
            return answer;
        }
        assert!(answer.headers().contains_key("ratelimit"));
    }
    panic!("{address} is never refused");
}

const ONE: &str = "192.0.2.1:1000";
const OTHER: &str = "192.0.2.2:1000";

#[tokio::test]
async fn who_asks_for_more_than_his_share_is_refused_and_others_are_not() {
    let limit = RateLimit::new("one", Proxies::default(), 1_000);
    let router = layered(limit.around(endpoints()), Limits::default());
    let plain = ask(&router, ONE).await;
    assert!(!plain.headers().contains_key("ratelimit"), "it is off by default");
    limit.set(Quota::of(1, 3));
    let first = ask_at(&router, "/bad", ONE).await;
    assert_eq!(first.status(), StatusCode::NOT_FOUND);
    assert_eq!(first.headers()["ratelimit-policy"], "\"one\";q=3;w=3");
    assert_eq!(first.headers()["ratelimit"], "\"one\";r=2;t=1");
    let answer = refused(&router, ONE).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["ratelimit"], "\"one\";r=0;t=3");
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(slug(&problem(answer).await), "too-many-requests");
    assert_eq!(ask(&router, OTHER).await.headers()["ratelimit"], "\"one\";r=2;t=1");

    limit.set(Quota::of(1, 5));
    assert_eq!(ask(&router, ONE).await.headers()["ratelimit"], "\"one\";r=4;t=1");
    // What it was already changes nothing.
    limit.set(Quota::of(1, 5));
    assert_ne!(ask(&router, ONE).await.headers()["ratelimit"], "\"one\";r=4;t=1");
    limit.set(None);
    for _ in 0..10 {
        assert_eq!(ask(&router, ONE).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_caller_has_a_share_of_his_own() {
    let proxies: Proxies = "192.0.2.1".parse().unwrap();
    let limit = RateLimit::new("two", proxies.clone(), 1_000);
    let router = layered(limit.around(endpoints()), Limits::default());
    limit.set(Quota::of(1, 3));
    let behind = async |caller: &str| {
        let request = Request::get("/").header("x-forwarded-for", caller);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(from(ONE));
        send(&router, request).await
    };
    assert_eq!(behind("203.0.113.1").await.headers()["ratelimit"], "\"two\";r=2;t=1");
    assert_eq!(behind("203.0.113.2").await.headers()["ratelimit"], "\"two\";r=2;t=1");
    assert_eq!(behind("203.0.113.1").await.headers()["ratelimit"], "\"two\";r=1;t=2");
    // Believed no more, it is one caller itself.
    proxies.set(&Proxies::default());
    assert_eq!(behind("203.0.113.1").await.headers()["ratelimit"], "\"two\";r=2;t=1");
    assert_eq!(behind("203.0.113.2").await.headers()["ratelimit"], "\"two\";r=1;t=2");
}

#[tokio::test]
async fn no_more_callers_are_known_than_may_be() {
    const KNOWN: usize = 50;
    let shown = edge::metrics::install().unwrap();
    let limit = RateLimit::new("three", Proxies::default(), KNOWN);
    let router = limit.around(endpoints());
    limit.set(Quota::of(1, 3));
    for caller in 0..20 * KNOWN {
        let address = format!("10.0.{}.{}:1000", caller / 250, caller % 250);
        assert_eq!(ask(&router, &address).await.status(), StatusCode::OK);
    }
    let shown = shown.render();
    let known = shown
        .lines()
        .find_map(|line| line.strip_prefix("daybook_rate_callers{class=\"three\"} "))
        .unwrap();
    let known = known.parse::<f64>().unwrap();
    assert!((1.0..=KNOWN as f64).contains(&known), "{known} are known");
}

#[tokio::test]
async fn a_route_may_have_a_limit_of_its_own_beside_the_others_of_its_class() {
    let limit = RateLimit::new("four", Proxies::default(), 1_000);
    let router = layered(limit.around(endpoints()), Limits::default());
    let state = async |path: &str| {
        let answer = ask_at(&router, path, ONE).await;
        let header = |name| {
            let value = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        (header("ratelimit-policy"), header("ratelimit"))
    };
    let of = |policy: &str, state: &str| (policy.to_owned(), state.to_owned());
    // While the class has none as well.
    limit.set_routes(&"GET /bad=1:2".parse().unwrap());
    assert_eq!(state("/bad").await, of("\"GET /bad\";q=2;w=2", "\"GET /bad\";r=1;t=1"));
    assert_eq!(state("/").await, of("", ""));
    limit.set(Quota::of(1, 9));
    assert_eq!(state("/").await, of("\"four\";q=9;w=9", "\"four\";r=8;t=1"));
    // It is not counted of its class; `HEAD` is the route of `GET`.
    let head = Request::head("/bad").extension(from(ONE)).body(Body::empty()).unwrap();
    let head = send(&router, head).await;
    assert_eq!(head.headers()["ratelimit-policy"], "\"GET /bad\";q=2;w=2");
    assert_ne!(state("/").await.1, "\"four\";r=6;t=3");
    limit.set_routes(&"GET /bad=0".parse().unwrap());
    assert_eq!(state("/bad").await, of("", ""));
    limit.set_routes(&RouteQuotas::default());
    assert_eq!(state("/bad").await.0, "\"four\";q=9;w=9");
}

#[test]
fn limits_of_routes_are_read_whole_or_not_at_all() {
    let read = |text: &str| text.parse::<RouteQuotas>();
    let good = read("POST /a=5, GET /b/{id} = 1:20").unwrap();
    assert_eq!(good.routes().collect::<Vec<_>>(), ["GET /b/{id}", "POST /a"]);
    for bad in [
        "",
        "POST /a",
        "/a=5",
        "POST a=5",
        "POST /a=",
        "POST /a=-1",
        "POST /a=5:",
        "POST /a=5:1:1",
        "POST /a=5,",
        "POST /a=5,POST /a=5",
        "POST /\"=5",
        "POST /ä=5",
        "POST /a=4294967296",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
