//! A log that another process answers for.

use crate::reading::answer;
use crate::stories::{Shop, authorise, gbp, order_id, sku, succeeded};
use crate::support::{PARTITIONS, Process, eventually, fresh_database, got};
use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use chrono::SecondsFormat;
use deadpool_postgres::Transaction;
use domain::inventory::stock;
use domain::orders::order::{CancelReason, Command, stream};
use domain::payments::payment::{self, Operation};
use edge::{Access, BreakerSettings, Peer, PeerLimits};
use event_store::follow::{
    ApplyError, Elsewhere, Feed, Follower, Owner, Runner, Source, has_posted,
};
use event_store::{Position, Recorded};
use http::StatusCode;
use projections::{
    Check, Generations, HttpOwner, Progress, Queries, RebuildError, Rebuilt, Work, all,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What answers for the logs of a process.
async fn logs(process: &Process) -> Router {
    let generations = Generations::open(&[]).await.unwrap();
    let queries = Queries::new(Vec::new(), process.logs.clone(), generations);
    projections::routes().router(queries, &Access::off())
}

/// Serves them.
async fn served(process: &Process) -> String {
    serve(logs(process).await).await
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// The same, and gives what asks for one of them.
async fn owner(process: &Process, service: &str) -> HttpOwner {
    let url = served(process).await;
    HttpOwner::new(service, Peer::new(service, &url, PeerLimits::default()).unwrap())
}

/// Events of several kinds, and one as an older binary stored it.
async fn filled() -> Process {
    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    for number in 1..=20 {
        shop.placed(number, 0, vec![crate::stories::cancel(CancelReason::OutOfStock)]).await;
    }
    let older = "alter table orders.event disable trigger all; \
         update orders.event set schema_version = 1, payload = '{\"reason\":\"out-of-stock\", \"later\": [1e2]}' \
          where type = 'order.cancelled' and stream = '{stream}'; \
         alter table orders.event enable trigger all";
    process.admin.batch_execute(&older.replace("{stream}", &stream(order_id(1)))).await.unwrap();
    process
}

#[tokio::test]
async fn an_event_read_over_http_equals_the_event_read_from_the_log() {
    let process = filled().await;
    let (log, owner) = (process.log("orders"), owner(&process, "orders").await);
    assert_eq!(owner.ends().await.unwrap(), log.ends().await.unwrap());
    let mut read = 0;
    for partition in 0..log.partitions() {
        let here = log.read_partition(partition, 0, 5_000).await.unwrap();
        assert_eq!(owner.read_partition(partition, 0, 5_000).await.unwrap(), here);
        let some = owner.read_partition(partition, 2, 3).await.unwrap();
        assert_eq!(some, log.read_partition(partition, 2, 3).await.unwrap());
        let end = i64::try_from(here.len()).unwrap();
        assert_eq!(owner.read_partition(partition, end, 10).await.unwrap(), []);
        read += here.len();
    }
    assert_eq!(read, 40);
}

/// Takes note of what it is given.
#[derive(Default)]
struct Notes(Mutex<Vec<Recorded>>);

#[async_trait]
impl Follower for Notes {
    fn name(&self) -> &str {
        "notes"
    }

    fn logs(&self) -> Vec<String> {
        vec!["inventory".to_owned()]
    }

    async fn apply(&self, _: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        self.0.lock().unwrap().extend(batch.iter().map(|event| (**event).clone()));
        Ok(())
    }
}

#[tokio::test]
async fn a_follower_of_a_log_elsewhere_posts_each_event_once_and_goes_on_behind_its_checkpoint() {
    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    let elsewhere = Elsewhere::new("inventory", PARTITIONS, owner(&process, "inventory").await);
    let source = Source::Elsewhere(elsewhere);
    let notes = Arc::new(Notes::default());
    let follower: Arc<dyn Follower> = notes.clone();
    let receive = async |name: &str| {
        let quantity = crate::stories::pieces(7);
        shop.stock(name, vec![stock::Command::Receive { quantity }]).await;
        let last = process.log("inventory").read_stream(&stock::stream(&sku(name)), 0, 9).await;
        last.unwrap().pop().unwrap().position()
    };
    for round in ["A", "B"] {
        // A runner for each round: the second one begins where the checkpoints of the first one are.
        let stop = process.stop.child_token();
        let runner = Runner::new(vec![Feed::new(source.clone())], stop.clone());
        runner.follow(&follower, 0, process.read("orders"));
        for number in 0..10 {
            let at = receive(&format!("{round}{number}")).await;
            eventually("it is posted", || async {
                has_posted(process.read("orders"), &at).await.unwrap()
            })
            .await;
        }
        stop.cancel();
        runner.wait().await;
    }
    let mut noted: Vec<_> = notes.0.lock().unwrap().drain(..).collect();
    let mut there = Vec::new();
    for partition in 0..source.partitions() {
        there.extend(process.log("inventory").read_partition(partition, 0, 100).await.unwrap());
    }
    noted.sort_by_key(|event| (event.partition, event.offset));
    assert_eq!(noted, there);
}

/// As a process shows it that has the orders, and asks for the payments elsewhere.
#[tokio::test]
async fn an_order_as_it_was_is_the_same_where_its_payments_are_elsewhere() {
    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    shop.placed(1, 0, vec![Command::Confirm {}]).await;
    shop.payment(1, vec![authorise(700), succeeded(Operation::Authorisation)]).await;
    shop.order(1, 9, vec![Command::Ship {}]).await;
    shop.payment(1, vec![payment::Command::Capture { amount: gbp(700) }]).await;
    shop.payment(1, vec![succeeded(Operation::Capture)]).await;
    let generations = process.follow().await;
    let whole = process.router(&generations);
    let orders = vec![process.log("orders").clone()];
    let url = served(&process).await;
    let payments = Peer::new("payments", &url, PeerLimits::default()).unwrap();
    let owners = [("payments".to_owned(), payments)].into();
    let apart = Queries::new(process.reads.clone(), orders, generations).asking(owners);
    let apart = projections::routes().router(apart, &Access::off());
    let path = format!("/v1/orders/{}?as_of=", order_id(1));
    for as_of in ["1", "2", "3"] {
        let here = got(&whole, &format!("{path}{as_of}")).await;
        assert_eq!(got(&apart, &format!("{path}{as_of}")).await, here);
    }
    let payment = payment::stream(order_id(1));
    for event in process.log("payments").read_stream(&payment, 0, 10).await.unwrap() {
        let at = event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let here = got(&whole, &format!("{path}{at}")).await;
        assert_eq!(got(&apart, &format!("{path}{at}")).await, here, "{}", event.event_type);
    }
    let last = got(&apart, &format!("{path}3")).await;
    assert_eq!(last["payment_status"], "authorised", "{last}");
}

/// By the owner of the log, whom a process asks that has only the rows.
#[tokio::test]
async fn a_position_that_a_log_elsewhere_has_lost_is_gone_and_one_that_is_late_is_not() {
    let process = Process::start(&fresh_database().await).await;
    Shop::of(&process).placed(1, 0, vec![]).await;
    let generations = process.follow().await;
    process.posted().await;
    let at = process.log("orders").read_stream(&stream(order_id(1)), 0, 1).await.unwrap();
    let at = at[0].position();
    let lost = Position { epoch: at.epoch + 1, ..at.clone() };
    let late = Position { offset: at.offset + 1_000, ..at.clone() };
    let path = format!("/v1/orders/{}", order_id(1));
    let url = served(&process).await;
    for (url, told) in
        [(&*url, StatusCode::GONE), ("http://127.0.0.1:1", StatusCode::SERVICE_UNAVAILABLE)]
    {
        let owner = Peer::new("orders", url, PeerLimits::default()).unwrap();
        let owners = [("orders".to_owned(), owner)].into();
        let queries = Queries::new(process.reads.clone(), Vec::new(), generations.clone())
            .waiting(process.runner(), Duration::from_millis(500), process.stop.clone())
            .asking(owners);
        let apart = projections::routes().router(queries, &Access::off());
        for (position, status) in
            [(&at, StatusCode::OK), (&lost, told), (&late, StatusCode::SERVICE_UNAVAILABLE)]
        {
            let seen = [("daybook-min-position", &*position.to_string())];
            assert_eq!(answer(&apart, &path, &seen).await.status(), status, "{position} of {url}");
        }
    }
}

#[tokio::test]
async fn an_owner_that_is_away_is_an_error_that_passes() {
    let peer = Peer::new("orders", "http://127.0.0.1:1", PeerLimits::default()).unwrap();
    let away = HttpOwner::new("orders", peer);
    let error = away.ends().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("`orders`"), "{error}");
}

/// Rebuilds the stock from a log elsewhere, whose owner answers its n-th question, counted from 1, with an error if there is
/// one, and is left alone after each; what was said meanwhile.
async fn rebuilt(
    process: &Process,
    error: fn(usize) -> Option<StatusCode>,
) -> (Result<Rebuilt, RebuildError>, Vec<Progress>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let failing = from_fn(move |request: Request, next: Next| {
        let error = error(asked.fetch_add(1, Ordering::SeqCst) + 1);
        async move {
            match error {
                Some(status) => status.into_response(),
                None => next.run(request).await,
            }
        }
    });
    let url = serve(logs(process).await.layer(failing)).await;
    let pause = Duration::from_millis(500);
    let breaker = BreakerSettings { failures: 1, first_pause: pause, longest_pause: pause };
    let limits = PeerLimits { retries: 0, breaker, ..PeerLimits::default() };
    let owner = HttpOwner::new("inventory", Peer::new("inventory", &url, limits).unwrap());
    let elsewhere = [Source::Elsewhere(Elsewhere::new("inventory", PARTITIONS, owner))];
    let stock = all().into_iter().find(|it| it.layout().name == "stock").unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let hears = said.clone();
    let work = Work {
        projection: &stock,
        read: process.read("inventory"),
        logs: &elsewhere,
        tell: Arc::new(move |it| hears.lock().unwrap().push(it)),
        stop: CancellationToken::new(),
    };
    let rebuilt = projections::rebuild(&work, Check::Verify).await;
    (rebuilt, std::mem::take(&mut *said.lock().unwrap()))
}

#[tokio::test]
async fn a_rebuild_waits_for_an_owner_who_fails_for_a_while_and_says_so() {
    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    for number in 0..10 {
        let receive = stock::Command::Receive { quantity: crate::stories::pieces(7) };
        shop.stock(&format!("A{number}"), vec![receive]).await;
    }
    let away = |nth| (nth <= 2 || nth == 5).then_some(StatusCode::BAD_GATEWAY);
    let (done, said) = rebuilt(&process, away).await;
    assert_eq!(done.unwrap().events, 10);
    assert_eq!(process.rows("inventory_read.stock_1").await.len(), 10);
    let waits = |of: &str| {
        let why = said.iter().filter_map(|it| it.waits.as_deref());
        why.filter(|why| why.contains(of)).count()
    };
    assert!(waits("502") > 0 && waits("left alone") > 0, "{said:?}");
    assert_eq!(said.last().unwrap().waits, None);

    let (refused, said) = rebuilt(&process, |_| Some(StatusCode::FORBIDDEN)).await;
    assert!(matches!(refused, Err(RebuildError::Store(_))), "{refused:?}");
    assert!(said.iter().all(|it| it.waits.is_none()), "nobody waits for who refuses");
}
