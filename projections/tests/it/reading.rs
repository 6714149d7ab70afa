//! The past, one's own writes, and what comes as it happens.

use crate::stories::{
    Shop, authorise, cancel, declined, order_id, pieces, place, sku, start, succeeded,
};
use crate::support::{Process, eventually, fresh_database, get, got};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use deadpool_postgres::Transaction;
use domain::checkout::checkout;
use domain::inventory::stock;
use domain::orders::order::{CancelReason, Command};
use domain::payments::payment::Operation;
use edge::Access;
use event_store::Recorded;
use event_store::follow::{ApplyError, Follower};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use projections::{Place, Posting, Queries};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tower::ServiceExt;

pub(crate) async fn answer(
    router: &Router,
    path: &str,
    headers: &[(&str, &str)],
) -> http::Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

pub(crate) async fn told(response: http::Response<Body>) -> (StatusCode, HeaderMap, Value) {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// The database's clock, by which everything is recorded.
async fn now(process: &Process) -> String {
    let sql =
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    process.admin.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_what_the_view_showed_then() {
    let process = Process::start(&fresh_database().await).await;
    let generations = process.follow().await;
    let router = process.router(&generations);
    let shop = Shop::of(&process);
    let order = order_id(1);
    let paths = [
        format!("/v1/orders/{order}"),
        format!("/v1/orders/{order}/history"),
        format!("/v1/payments/{order}"),
        format!("/v1/checkouts/{order}"),
        "/v1/stock/A1".to_owned(),
        "/v1/products/A1".to_owned(),
    ];
    let before = now(&process).await;
    shop.listed("A1", "White heart", 255).await;
    shop.stock("A1", vec![stock::Command::Receive { quantity: pieces(5) }]).await;
    shop.placed(1, 0, vec![]).await;
    shop.payment(1, vec![authorise(700)]).await;
    shop.checkout(1, vec![start(1)]).await;
    let mut then = Vec::new();
    for step in 0..5 {
        let heard = match step {
            0 => {
                shop.payment(1, vec![succeeded(Operation::Authorisation)]).await;
                checkout::Command::PaymentAuthorised {}
            }
            1 => {
                let reserve = stock::Command::Reserve { order, quantity: pieces(2) };
                shop.stock("A1", vec![reserve]).await;
                checkout::Command::StockReserved { sku: sku("A1") }
            }
            2 => {
                shop.order(1, 0, vec![Command::Confirm {}]).await;
                checkout::Command::OrderConfirmed {}
            }
            3 => {
                shop.order(1, 0, vec![Command::Ship {}]).await;
                checkout::Command::OrderShipped {}
            }
            _ => {
                shop.stock("A1", vec![stock::Command::Ship { order }]).await;
                checkout::Command::StockShipped { sku: sku("A1") }
            }
        };
        shop.checkout(1, vec![heard]).await;
        process.posted().await;
        let mut shown = Vec::new();
        for path in &paths {
            shown.push(got(&router, path).await);
        }
        then.push((now(&process).await, shown));
    }
    for (at, shown) in &then {
        for (path, shown) in paths.iter().zip(shown) {
            let path = format!("{path}?as_of={at}");
            let (status, headers, past) = told(answer(&router, &path, &[]).await).await;
            assert_eq!((status, &past), (StatusCode::OK, shown), "{path}");
            assert_eq!(headers["daybook-as-of"], **at, "{path}");
            let items = past["items"].as_array().map(Vec::len);
            let version = past["version"].as_u64().map(|it| usize::try_from(it).unwrap());
            assert_eq!(headers["etag"], *tag(version.or(items).unwrap()), "{path}");
        }
    }
    for path in &paths {
        let (status, early) = get(&router, &format!("{path}?as_of={before}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {early}");
        let (status, late) = get(&router, &format!("{path}?as_of=9999-12-31T00:00:00Z")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {late}");
        assert_eq!(late["type"], "urn:daybook:problem:future");
        let (status, _) = get(&router, &format!("{path}?as_of=yesterday")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_shows_the_other_streams_as_they_were_when_it_was_recorded() {
    let process = Process::start(&fresh_database().await).await;
    let generations = process.follow().await;
    let router = process.router(&generations);
    let shop = Shop::of(&process);
    shop.placed(1, 0, vec![]).await;
    shop.payment(1, vec![authorise(700)]).await;
    shop.order(1, 0, vec![cancel(CancelReason::PaymentDeclined)]).await;
    shop.payment(1, vec![declined()]).await;
    let path = format!("/v1/orders/{}?as_of=", order_id(1));
    for (version, status, payment) in [(1, "placed", "none"), (2, "cancelled", "requested")] {
        let (_, headers, order) =
            told(answer(&router, &format!("{path}{version}"), &[]).await).await;
        assert_eq!((&order["status"], &order["payment_status"]), (&json!(status), &json!(payment)));
        assert_eq!(order["version"], version);
        assert_eq!(headers["etag"], *format!("\"{version}\""));
        let at = headers["daybook-as-of"].to_str().unwrap();
        assert_eq!(got(&router, &format!("{path}{at}")).await, order);
    }
    assert_eq!(get(&router, &format!("{path}0")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&router, &format!("{path}3")).await.0, StatusCode::BAD_REQUEST);
    let unknown = format!("/v1/orders/{}?as_of=1", order_id(2));
    assert_eq!(get(&router, &unknown).await.0, StatusCode::NOT_FOUND);
}

/// Whoever appends holds his partition's row from before the clock is read until the commit.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_under_way_is_waited_for_before_the_past_is_told() {
    let process = Process::start(&fresh_database().await).await;
    let generations = process.follow().await;
    let router = process.router(&generations);
    let shop = Shop::of(&process);
    shop.placed(1, 0, vec![]).await;
    let view = format!("/v1/orders/{}", order_id(1));
    let stream = format!("/v1/log/orders/streams/order-{}", order_id(1));
    let first = now(&process).await;
    process
        .admin
        .batch_execute("begin; select from orders.log_partition for no key update")
        .await
        .unwrap();
    let later = now(&process).await;
    let asked = |path: &str, at: &str| {
        let (router, path) = (router.clone(), format!("{path}?as_of={at}"));
        tokio::spawn(async move { get(&router, &path).await })
    };
    let waits = [asked(&view, &later), asked(&stream, &later)];
    let waiting = Process::start(&process_database(&process)).await;
    eventually("the questions wait for the append", || async {
        let sql = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                   and datname = current_database() and query like '%turn%'";
        waiting.number(sql).await == 2
    })
    .await;
    process.admin.batch_execute("commit").await.unwrap();
    for waits in waits {
        assert_eq!(waits.await.unwrap().0, StatusCode::OK);
    }
    // Nobody waits for what is closed already.
    shop.order(1, 0, vec![Command::Confirm {}]).await;
    process
        .admin
        .batch_execute("begin; select from orders.log_partition for no key update")
        .await
        .unwrap();
    let past = asked(&view, &first).await.unwrap();
    assert_eq!(past.1["status"], "placed");
    let past = asked(&stream, &first).await.unwrap();
    assert_eq!(past.1["items"].as_array().map(Vec::len), Some(1));
    process.admin.batch_execute("rollback").await.unwrap();
}

/// What tells the past to those who have no access to the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_shown_as_it_was_where_its_log_is() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    let before = now(&process).await;
    let mut then = Vec::new();
    for number in 1..=7 {
        shop.stock("A1", vec![stock::Command::Receive { quantity: pieces(number) }]).await;
        then.push(now(&process).await);
    }
    shop.stock("B2", vec![stock::Command::Receive { quantity: pieces(1) }]).await;
    let path = "/v1/log/inventory/streams/stock-A1";
    let partition = process.log("inventory").partition_of("stock-A1");
    let log = got(&router, &format!("/v1/log/inventory/{partition}")).await;
    let mut all = log["items"].as_array().unwrap().clone();
    all.retain(|event| event["stream"] == "stock-A1");
    assert_eq!(got(&router, path).await, json!({"items": all, "next": null, "prev": null}));
    for (at, version) in then.iter().zip(1..) {
        let (_, headers, past) =
            told(answer(&router, &format!("{path}?as_of={at}"), &[]).await).await;
        assert_eq!(past, json!({"items": all[..version], "next": null, "prev": null}), "{at}");
        assert_eq!(headers["daybook-as-of"], **at);
        assert_eq!(headers["etag"], *tag(version));
        // A version is shown as at the instant at which it was recorded.
        let (_, headers, past) =
            told(answer(&router, &format!("{path}?as_of={version}"), &[]).await).await;
        assert_eq!(past["items"], json!(all[..version]));
        let at = headers["daybook-as-of"].to_str().unwrap();
        assert_eq!(got(&router, &format!("{path}?as_of={at}")).await, past);
    }
    let page = |after| format!("{path}?as_of=5&limit=2&after={after}");
    let (_, headers, first) = told(answer(&router, &page(2), &[]).await).await;
    assert_eq!(first, json!({"items": all[2..4], "next": "4", "prev": "3"}));
    assert_eq!(headers["etag"], *tag(5), "of what is shown in all");
    assert_eq!(got(&router, &page(4)).await, json!({"items": [all[4]], "next": null, "prev": "5"}));
    assert_eq!(got(&router, &page(9)).await, json!({"items": [], "next": null, "prev": "6"}));
    for (asked, status) in [
        (format!("{path}?as_of={before}"), StatusCode::NOT_FOUND),
        (format!("{path}?as_of=0"), StatusCode::NOT_FOUND),
        (format!("{path}?as_of=8"), StatusCode::BAD_REQUEST),
        (format!("{path}?as_of=9999-12-31T00:00:00Z"), StatusCode::BAD_REQUEST),
        (format!("{path}?as_of=yesterday"), StatusCode::BAD_REQUEST),
        ("/v1/log/inventory/streams/stock-C3".to_owned(), StatusCode::NOT_FOUND),
        ("/v1/log/inventory/streams/stock-C3?as_of=1".to_owned(), StatusCode::NOT_FOUND),
        ("/v1/log/none/streams/stock-A1".to_owned(), StatusCode::NOT_FOUND),
        ("/v1/log/inventory/streams/%00".to_owned(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(get(&router, &asked).await.0, status, "{asked}");
    }
}

fn tag(version: usize) -> String {
    format!("\"{version}\"")
}

fn process_database(process: &Process) -> event_store::Database {
    let database = process.log("orders").database();
    event_store::Database { role: None, ..database.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_a_position_never_sees_what_was_before_it() {
    let database = fresh_database().await;
    let process = Process::start(&database).await;
    let generations = projections::Generations::open(&process.reads).await.unwrap();
    let runner = process.runner();
    let queries = |most| {
        let logs = process.logs.clone();
        let queries = Queries::new(process.reads.clone(), logs, generations.clone());
        let queries = queries.waiting(runner.clone(), most, process.stop.clone());
        projections::routes().router(queries, &Access::off())
    };
    let shop = Shop::of(&process);
    shop.placed(1, 0, vec![]).await;
    let path = format!("/v1/orders/{}", order_id(1));
    let position = {
        let sql = "select 'orders/' || partition || '@1:' || log_offset from orders.event limit 1";
        process.admin.query_one(sql, &[]).await.unwrap().get::<_, String>(0)
    };
    let min = ("daybook-min-position", &*position);
    // Nobody follows yet: who names none is answered at once, who does is refused after his time.
    let impatient = queries(Duration::from_millis(50));
    assert_eq!(answer(&impatient, &path, &[]).await.status(), StatusCode::NOT_FOUND);
    let (status, headers, problem) = told(answer(&impatient, &path, &[min]).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["type"], "urn:daybook:problem:behind");
    assert!(headers.contains_key("retry-after"));
    // What this view does not follow keeps nobody waiting.
    let strange = ("daybook-min-position", "inventory/0@1:99, nobody/3@1:7");
    assert_eq!(answer(&impatient, &path, &[strange]).await.status(), StatusCode::NOT_FOUND);

    let patient = queries(Duration::from_secs(60));
    let waits = tokio::spawn({
        let (patient, path, position) = (patient.clone(), path.clone(), position.clone());
        async move { answer(&patient, &path, &[("daybook-min-position", &position)]).await.status() }
    });
    // Followed by another process first, and then by this one.
    let other = Process::start(&database).await;
    other.follow().await;
    assert_eq!(waits.await.unwrap(), StatusCode::OK);
    other.stop.cancel();
    process.follow_with(runner.clone()).await;
    shop.order(1, 0, vec![Command::Confirm {}]).await;
    let (epoch, offset) = position.split_once(':').unwrap();
    let next = format!("{epoch}:{}", offset.parse::<i64>().unwrap() + 1);
    let (_, _, order) =
        told(answer(&patient, &path, &[("daybook-min-position", &next)]).await).await;
    assert_eq!(order["status"], "confirmed");

    // An epoch that the log does not know any more, and what is no position.
    let lost = ("daybook-min-position", &*position.replace("@1", "@9"));
    assert_eq!(answer(&patient, &path, &[lost]).await.status(), StatusCode::GONE);
    let wrong = ("daybook-min-position", "orders");
    assert_eq!(answer(&patient, &path, &[wrong]).await.status(), StatusCode::BAD_REQUEST);
    // What is parked is not there, and will not be until somebody mends it.
    let sql = format!(
        "insert into orders_read.parked (follower, generation, service, partition, log_offset, epoch, event_id, \
           stream, event_type, reason) \
         select 'orders', 1, 'orders', partition, log_offset, 1, event_id, stream, type, 'a test' \
           from orders.event where version = 2 and stream = 'order-{}'",
        order_id(1)
    );
    process.admin.batch_execute(&sql).await.unwrap();
    let (status, _, problem) =
        told(answer(&patient, &path, &[("daybook-min-position", &next)]).await).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("urn:daybook:problem:parked"))
    );
}

/// What posts at its leisure, an hour after it has posted.
struct Leisurely(Posting);

#[async_trait]
impl Follower for Leisurely {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn logs(&self) -> Vec<String> {
        self.0.logs()
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        self.0.apply(tx, batch).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_what_he_has_written_hurries_the_follower_of_his_process() {
    let process = Process::start(&fresh_database().await).await;
    let generations = projections::Generations::open(&process.reads).await.unwrap();
    let runner = process.runner();
    let orders = projections::all().into_iter().find(|it| it.layout().name == "orders").unwrap();
    let read = process.read("orders");
    let generation = generations.live("orders").unwrap();
    let live = Place::new(read, generation);
    let posting = Posting { projection: orders, place: live, fills: false };
    let follower: Arc<dyn Follower> = Arc::new(Leisurely(posting));
    runner.follow(&follower, generation, read);
    let queries = Queries::new(process.reads.clone(), process.logs.clone(), generations);
    let queries = queries.waiting(runner, Duration::from_secs(60), process.stop.clone());
    let router = projections::routes().router(queries, &Access::off());
    let shop = Shop::of(&process);
    let path = format!("/v1/orders/{}", order_id(1));
    let partition = process.log("orders").partition_of(&format!("order-{}", order_id(1)));
    for (offset, (command, status)) in (0..).zip([
        (place(1, &[("A1", 2, 250)], None, "GB"), "placed"),
        (Command::Confirm {}, "confirmed"),
        (Command::Ship {}, "shipped"),
        (Command::Close {}, "closed"),
    ]) {
        shop.order(1, 0, vec![command]).await;
        let position = format!("orders/{partition}@1:{offset}");
        let own = [("daybook-min-position", &*position)];
        let (_, _, order) = told(answer(&router, &path, &own).await).await;
        assert_eq!(order["status"], status, "{order}");
    }
}

/// Server-sent events, as far as they have come.
struct Listening {
    body: Body,
    text: String,
}

impl Listening {
    async fn to(router: &Router, path: &str, headers: &[(&str, &str)]) -> Self {
        let headers = [&[("accept", "text/event-stream")], headers].concat();
        let response = answer(router, path, &headers).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Listening { body: response.into_body(), text: String::new() }
    }

    /// The id and the data of the next one.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(name));
                    found.map(|value| value.trim().to_owned())
                };
                let told = field("id:").zip(field("data:"));
                self.text = rest.to_owned();
                let Some((id, data)) = told else { continue };
                return (id, serde_json::from_str(&data).unwrap());
            }
            let frame = tokio::time::timeout(Duration::from_secs(60), self.body.frame());
            let frame = frame.await.expect("an event").expect("it goes on").unwrap();
            self.text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }

    async fn ends(mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await.unwrap().is_none()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_as_it_happens_and_who_comes_again_goes_on() {
    let process = Process::start(&fresh_database().await).await;
    let runner = process.runner();
    let generations = process.follow_with(runner.clone()).await;
    let queries = Queries::new(process.reads.clone(), process.logs.clone(), generations);
    let leaving = process.stop.child_token();
    let router = projections::routes()
        .router(queries.waiting(runner, Duration::from_secs(60), leaving.clone()), &Access::off());
    let shop = Shop::of(&process);
    let history = format!("/v1/orders/{}/history", order_id(1));
    assert_eq!(
        answer(&router, &history, &[("accept", "text/event-stream")]).await.status(),
        StatusCode::NOT_FOUND
    );
    shop.placed(1, 0, vec![]).await;
    let mut listening = Listening::to(&router, &history, &[]).await;
    let (id, placed) = listening.next().await;
    assert_eq!((&*id, &placed["type"]), ("1:1", &json!("order.placed")));
    shop.placed(2, 0, vec![]).await;
    shop.order(1, 0, vec![Command::Confirm {}]).await;
    let (id, confirmed) = listening.next().await;
    assert_eq!((&*id, &confirmed["type"]), ("1:2", &json!("order.confirmed")));
    process.posted().await;
    assert_eq!(got(&router, &history).await["items"], json!([placed, confirmed]));

    let mut again = Listening::to(&router, &history, &[("last-event-id", "1:1")]).await;
    assert_eq!(again.next().await, (id.clone(), confirmed.clone()));
    // As ids were before they told the epoch.
    let mut as_before = Listening::to(&router, &history, &[("last-event-id", "1")]).await;
    assert_eq!(as_before.next().await, (id, confirmed.clone()));

    let partition = process.log("orders").partition_of(&format!("order-{}", order_id(1)));
    let path = format!("/v1/log/orders/{partition}");
    let (mut log, mut offset) = (Listening::to(&router, &path, &[]).await, -1);
    let mut found = 0;
    while found < 2 {
        let (id, event) = log.next().await;
        assert_eq!(id, format!("1:{}", offset + 1), "none is left out");
        offset += 1;
        found += usize::from(event["stream"] == format!("order-{}", order_id(1)));
    }
    for (path, id, status) in [
        (&history, "x", StatusCode::BAD_REQUEST),
        (&history, "1:x", StatusCode::BAD_REQUEST),
        (&history, "x:1", StatusCode::BAD_REQUEST),
        // Another one stands there now, or none.
        (&history, "2:1", StatusCode::GONE),
        (&history, "1:3", StatusCode::GONE),
        (&path, "2:0", StatusCode::GONE),
    ] {
        let headers = [("accept", "text/event-stream"), ("last-event-id", id)];
        assert_eq!(answer(&router, path, &headers).await.status(), status, "{path}, {id}");
    }
    leaving.cancel();
    assert!(listening.ends().await && again.ends().await && log.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_wait_is_told_once_the_order_has_settled() {
    let process = Process::start(&fresh_database().await).await;
    let runner = process.runner();
    let generations = process.follow_with(runner.clone()).await;
    let queries = Queries::new(process.reads.clone(), process.logs.clone(), generations);
    let patience = Duration::from_secs(60);
    let router = projections::routes()
        .router(queries.waiting(runner, patience, process.stop.clone()), &Access::off());
    let shop = Shop::of(&process);
    shop.placed(1, 0, vec![]).await;
    process.posted().await;
    let path = format!("/v1/orders/{}", order_id(1));
    let (_, headers, order) = told(answer(&router, &path, &[("prefer", "wait=0")]).await).await;
    assert_eq!(order["status"], "placed");
    assert_eq!(headers["preference-applied"], "wait=0");
    // He waited for nothing, and is told how it is.
    let began = Instant::now();
    let (status, headers, order) =
        told(answer(&router, &path, &[("prefer", "wait=1")]).await).await;
    assert_eq!((status, &order["status"]), (StatusCode::OK, &json!("placed")));
    assert_eq!(headers["preference-applied"], "wait=1");
    assert!(Duration::from_secs(1) <= began.elapsed());
    let waits = tokio::spawn({
        let (router, path) = (router.clone(), path.clone());
        async move { told(answer(&router, &path, &[("prefer", "wait=20")]).await).await }
    });
    shop.order(1, 0, vec![Command::Confirm {}]).await;
    let (_, headers, order) = waits.await.unwrap();
    assert_eq!(order["status"], "confirmed");
    assert_eq!(headers["preference-applied"], "wait=20");
    let unknown = format!("/v1/orders/{}", order_id(2));
    let unknown = answer(&router, &unknown, &[("prefer", "wait=20")]).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}
