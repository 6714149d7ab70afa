//! A database of its own for each test, with the five logs, and processes that answer from it.

use axum::Router;
use axum::body::Body;
use chrono::{DateTime, Utc};
use decider::Decider;
use edge::Access;
use event_store::follow::{Feed, ReadSide, Runner, Source, has_posted};
use event_store::{
    Database, Done, Envelope, Log, LogSettings, Metadata, Position, TransactLimits, Transactor,
    migrate,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use projections::{Check, Generations, Projection, Queries, RebuildError, Rebuilt, Tell, Work};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

pub(crate) const SERVICES: [&str; 5] = ["catalogue", "orders", "inventory", "payments", "checkout"];
pub(crate) const PARTITIONS: u32 = 3;

fn server() -> Database {
    let name = "DAYBOOK_TEST_DATABASE_URL";
    let url = std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is unset: run `make test`, or eval \"$(scripts/test-servers env)\"")
    });
    Database::parse(&url).unwrap()
}

fn named(name: &str) -> Database {
    let mut database = server();
    database.config.dbname(name);
    database
}

/// A database with five empty logs, copied from one that is migrated once.
pub(crate) async fn fresh_database() -> Database {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = UNIX_EPOCH.elapsed().unwrap().as_millis();
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let admin = server().connect("tests").await.unwrap();
    let template = TEMPLATE
        .get_or_init(|| async {
            let name = format!("it_views_{process}_{since}");
            admin.batch_execute(&format!("create database {name}")).await.unwrap();
            for service in SERVICES {
                migrate(&named(&name), service, PARTITIONS).await.unwrap();
            }
            name
        })
        .await;
    let name = format!("{template}_{next}");
    let copy = format!("create database {name} template {template}");
    // Refused while a session of the migration is still on its way out.
    eventually("the template is free", || async { admin.batch_execute(&copy).await.is_ok() }).await;
    named(&name)
}

/// Waits for a condition, generously; a test never depends on how fast it comes true.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_300_000_000 + second, 0).unwrap()
}

/// A process: the logs, and read sides that are its own.
pub(crate) struct Process {
    pub(crate) logs: Vec<Log>,
    pub(crate) sources: Vec<Source>,
    pub(crate) reads: Vec<ReadSide>,
    pub(crate) admin: Client,
    pub(crate) stop: CancellationToken,
}

impl Process {
    pub(crate) async fn start(database: &Database) -> Self {
        let mut logs = Vec::new();
        let mut reads = Vec::new();
        for service in SERVICES {
            let own = database.of_service(service);
            logs.push(Log::open(LogSettings::new(service, PARTITIONS, own.clone())).await.unwrap());
            reads.push(ReadSide::open(&own, service, 6).unwrap());
        }
        let admin = database.connect("tests").await.unwrap();
        let sources = logs.iter().map(Source::from).collect();
        Process { logs, sources, reads, admin, stop: CancellationToken::new() }
    }

    pub(crate) fn log(&self, service: &str) -> &Log {
        self.logs.iter().find(|log| &**log.service() == service).unwrap()
    }

    pub(crate) fn read(&self, service: &str) -> &ReadSide {
        self.reads.iter().find(|read| &*read.service == service).unwrap()
    }

    /// Follows the live generations, until `stop`.
    pub(crate) async fn follow(&self) -> Generations {
        self.follow_with(self.runner()).await
    }

    pub(crate) fn runner(&self) -> Runner {
        let feeds = self.logs.iter().map(|log| Feed::new(log.clone())).collect();
        Runner::new(feeds, self.stop.clone())
    }

    pub(crate) async fn follow_with(&self, runner: Runner) -> Generations {
        let generations = Generations::open(&self.reads).await.unwrap();
        let (reads, stop) = (self.reads.clone(), self.stop.clone());
        tokio::spawn(projections::follow(
            generations.clone(),
            runner,
            reads,
            projections::SWITCH_PATIENCE,
            stop,
        ));
        generations
    }

    pub(crate) fn router(&self, generations: &Generations) -> Router {
        let queries = Queries::new(self.reads.clone(), self.logs.clone(), generations.clone());
        projections::routes().router(queries, &Access::off())
    }

    /// Waits until every read model has posted all that is in the logs.
    pub(crate) async fn posted(&self) {
        for projection in projections::all() {
            let layout = projection.layout();
            for service in layout.logs {
                let heads = self.log(service).heads().await.unwrap();
                for (partition, head) in (0..).zip(heads).filter(|(_, head)| *head > 0) {
                    let service = (*service).to_owned();
                    let position = Position { service, partition, epoch: 1, offset: head - 1 };
                    let read = self.read(layout.service);
                    let what = format!("{} has posted {position}", layout.name);
                    eventually(&what, || async { has_posted(read, &position).await.unwrap() })
                        .await;
                }
            }
        }
    }

    pub(crate) fn transactor<D: Decider>(&self, service: &str) -> Transactor<D> {
        Transactor::new(self.log(service).clone(), TransactLimits::default())
    }

    /// The rows of a table as text, in an order of their own.
    pub(crate) async fn rows(&self, table: &str) -> Vec<String> {
        let sql = format!("select t::text from {table} t order by 1");
        self.admin.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.admin.query_one(sql, &[]).await.unwrap().get(0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Rebuilds a read model as a user does who says nothing else.
pub(crate) async fn rebuild(
    projection: &Arc<dyn Projection>,
    read: &ReadSide,
    logs: &[Log],
    tell: Tell,
) -> Result<Rebuilt, RebuildError> {
    let logs: Vec<_> = logs.iter().map(Source::from).collect();
    let stop = CancellationToken::new();
    projections::rebuild(&Work { projection, read, logs: &logs, tell, stop }, Check::Verify).await
}

/// Decides a command, occurred at some second.
pub(crate) async fn tell<D: Decider>(
    transactor: &Transactor<D>,
    stream: &str,
    command: D::Command,
    second: i64,
) -> Done {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let envelope = Envelope {
        command_id: Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed))),
        fingerprint: None,
        occurred_at: at(second),
        metadata: Metadata {
            correlation: "test".into(),
            actor: "tests".into(),
            ..Default::default()
        },
        expected_version: None,
    };
    transactor.transact(stream, command, envelope).await.unwrap()
}

/// What an endpoint answers.
pub(crate) async fn get(router: &Router, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// What an endpoint answers if all is well.
pub(crate) async fn got(router: &Router, path: &str) -> Value {
    let (status, body) = get(router, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

/// Every page of a list, put together.
pub(crate) async fn all_pages(router: &Router, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut after = String::new();
    loop {
        let mut page = got(router, &format!("{path}{after}")).await;
        items.append(page["items"].as_array_mut().unwrap());
        let Some(next) = page["next"].as_str() else { return items };
        after = format!("&after={next}");
    }
}
