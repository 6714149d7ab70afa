use crate::{problem, send, slug, text};
use axum::{Router, body::Body, response::Response, routing::get};
use edge::{Access, Limits, Params, Problem, Target, health, layered};
use http::{Method, Request, StatusCode};
use std::time::Duration;

fn router() -> Router {
    async fn failing() -> Problem {
        Problem::internal("the password is hunter2")
    }
    async fn panicking() {
        panic!("the password is hunter2");
    }
    async fn slow() {
        std::future::pending().await
    }
    async fn numbered(Target(number): Target<u8>) -> String {
        number.to_string()
    }
    async fn listed(params: Params) -> Result<String, Problem> {
        params.read(|params| {
            let (limit, after) =
                (params.optional::<u8>("limit"), params.optional::<String>("after"));
            Some(format!("{:?} {:?}", limit?, after?))
        })
    }
    let router = Router::new()
        .route("/failing", get(failing))
        .route("/panicking", get(panicking))
        .route("/slow", get(slow).post(slow))
        .route("/numbers/{number}", get(numbered))
        .route("/list", get(listed));
    layered(router, Limits { time: Duration::from_millis(50), ..Limits::default() })
}

async fn ask(method: Method, path: &str) -> Response {
    send(&router(), Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_internal_error_says_nothing_of_its_cause() {
    for path in ["/failing", "/panicking"] {
        let response = ask(Method::GET, path).await;
        let correlation = response.headers()["x-correlation-id"].to_str().unwrap().to_owned();
        let problem = problem(response).await;
        assert_eq!(slug(&problem), "internal-error");
        assert_eq!(problem["instance"], path);
        assert_eq!(problem["correlation"], correlation);
        assert!(!problem.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems() {
    let missing = problem(ask(Method::GET, "/nowhere").await).await;
    assert_eq!((slug(&missing), &missing["title"]), ("not-found", &"Not found".into()));
    assert_eq!(missing["detail"], "There is nothing at this path.");
    let wrong = ask(Method::DELETE, "/slow").await;
    assert_eq!(wrong.headers()["allow"], "GET,HEAD,POST");
    let wrong = problem(wrong).await;
    assert_eq!(slug(&wrong), "method-not-allowed");
    assert!(wrong["detail"].as_str().unwrap().contains("the header Allow"), "{wrong}");
}

#[tokio::test]
async fn options_are_answered_and_head_has_no_body() {
    let options = ask(Method::OPTIONS, "/slow").await;
    assert_eq!(options.status(), StatusCode::NO_CONTENT);
    assert_eq!(options.headers()["allow"], "GET,HEAD,POST");
    let head = ask(Method::HEAD, "/failing").await;
    assert_eq!(head.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn a_command_over_the_time_limit_has_an_unknown_outcome_and_a_query_is_too_slow() {
    let command = ask(Method::POST, "/slow").await;
    assert_eq!(command.headers()["retry-after"], "1");
    assert_eq!(command.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(slug(&problem(command).await), "outcome-unknown");
    let query = ask(Method::GET, "/slow").await;
    assert_eq!(query.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(slug(&problem(query).await), "too-slow");
}

#[tokio::test]
async fn what_a_path_names_is_parsed_or_refused() {
    assert_eq!(text(ask(Method::GET, "/numbers/7").await).await, "7");
    for bad in ["/numbers/300", "/numbers/%00", "/numbers/%ff"] {
        let problem = problem(ask(Method::GET, bad).await).await;
        assert_eq!((slug(&problem), &problem["status"]), ("invalid-path", &400.into()), "{bad}");
    }
}

#[tokio::test]
async fn every_bad_parameter_is_listed_by_name() {
    assert_eq!(text(ask(Method::GET, "/list?limit=7").await).await, "Some(7) None");
    let bad = problem(ask(Method::GET, "/list?limit=x&after=%00&colour=red").await).await;
    assert_eq!(slug(&bad), "invalid-parameters");
    let names: Vec<_> =
        bad["errors"].as_array().unwrap().iter().map(|it| &it["parameter"]).collect();
    assert_eq!(names, ["limit", "after", "colour"]);
    let twice = problem(ask(Method::GET, "/list?limit=1&limit=2").await).await;
    assert_eq!(slug(&twice), "invalid-parameters");
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let health = health::Health::default();
    let (kafka, _) = (health.component("kafka"), health.component("postgres").ready());
    let router = layered(health::routes().router(health, &Access::off()), Limits::default());
    let ready = || Request::get("/health/ready").body(Body::empty()).unwrap();

    let response = send(&router, ready()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(response).await["detail"], "Missing: kafka (starting).");
    kafka.ready();
    assert_eq!(send(&router, ready()).await.status(), StatusCode::OK);
    kafka.missing("no broker answers");
    assert_eq!(send(&router, ready()).await.status(), StatusCode::SERVICE_UNAVAILABLE);

    let live = Request::get("/health/live").body(Body::empty()).unwrap();
    assert_eq!(send(&router, live).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn metrics_count_requests_by_the_path_that_matched() {
    let router = layered(
        health::routes().router(health::Health::default(), &Access::off()),
        Limits::default(),
    );
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    send(&router, get("/health/live")).await;
    send(&router, get("/no/such/path")).await;
    let metrics = text(send(&router, get("/metrics")).await).await;
    assert!(
        metrics.contains(r#"http_requests_total{method="GET",path="/health/live",status="200"}"#)
    );
    assert!(metrics.contains(r#"path="unmatched",status="404""#), "{metrics}");
    assert!(metrics.contains("http_request_duration_seconds_bucket"));
}
