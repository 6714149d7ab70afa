//! A shop of its own for each test: its database, its logs, its endpoints.

use axum::{Router, body::Body};
use command_api::{
    CommandApi, Settings,
    prices::{PriceFollower, PriceLimits, Prices},
    routes,
};
use edge::{Access, Limits, layered};
use event_store::{
    Database, Log, LogSettings, TransactLimits, Transactor,
    follow::{Feed, FollowLimits, LogWorker, ReadSide, Source},
    migrate,
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::UNIX_EPOCH,
};
use tower::ServiceExt;

const PARTITIONS: u32 = 2;
const SERVICES: [&str; 5] = ["catalogue", "orders", "inventory", "payments", "checkout"];

pub(crate) struct Shop {
    pub(crate) router: Router,
    database: Database,
    logs: [Log; 5],
    read: ReadSide,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// A request in the making.
pub(crate) struct Call<'a> {
    shop: &'a Shop,
    request: http::request::Builder,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        Shop::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let database = empty_database().await;
        for service in SERVICES {
            migrate(&database, service, PARTITIONS).await.unwrap();
        }
        Shop::on(database, settings).await
    }

    /// The same shop in another process.
    pub(crate) async fn again(&self) -> Self {
        Shop::on(self.database.clone(), Settings::default()).await
    }

    async fn on(database: Database, settings: Settings) -> Self {
        let [catalogue, orders, inventory, payments, checkout] = SERVICES.map(|service| {
            let database = database.of_service(service);
            let settings = LogSettings::new(service, PARTITIONS, database);
            Log::open(LogSettings { lanes: 1, readers: 2, ..settings })
        });
        let logs = [
            catalogue.await.unwrap(),
            orders.await.unwrap(),
            inventory.await.unwrap(),
            payments.await.unwrap(),
            checkout.await.unwrap(),
        ];
        let read = ReadSide::open(&database.of_service("orders"), "orders", 3).unwrap();
        let [catalogue, orders, inventory, payments, checkout] = logs.clone();
        let source = Source::from(&catalogue);
        let prices = Prices::open(read.pool.clone(), &source, PriceLimits::default());
        let prices = prices.await.unwrap();
        let api = CommandApi {
            settings,
            prices: Some(prices),
            products: Some(Transactor::new(catalogue, TransactLimits::default())),
            stock: Some(Transactor::new(inventory, TransactLimits::default())),
            orders: Some(Transactor::new(orders, TransactLimits::default())),
            payments: Some(Transactor::new(payments, TransactLimits::default())),
            checkouts: Some(Transactor::new(checkout, TransactLimits::default())),
        };
        let router = layered(routes().router(api, &Access::off()), Limits::default());
        Shop { router, database, logs, read }
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        let request = Request::post(path).header("content-type", "application/json");
        Call { shop: self, request }
    }

    /// Lists a product at this many pence.
    pub(crate) async fn list(&self, sku: &str, pence: i64) -> Reply {
        let body = json!({"sku": sku, "name": "A thing", "price": pounds(pence)});
        let reply = self.post("/v1/products").send(body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        reply
    }

    /// Brings the price list to the catalogue's heads.
    pub(crate) async fn post_prices(&self) {
        let [catalogue, ..] = &self.logs;
        let mut worker = LogWorker::new(
            Arc::new(PriceFollower),
            PriceFollower::GENERATION,
            self.read.clone(),
            Feed::new(catalogue.clone()),
            FollowLimits::default(),
        );
        (0..catalogue.partitions()).for_each(|partition| worker.hold(partition));
        loop {
            let step = worker.try_step().await;
            assert!(step.failed.is_empty(), "{:?}", step.failed);
            if step.posted == 0 {
                break;
            }
        }
    }

    /// How many events all logs hold.
    pub(crate) async fn events(&self) -> i64 {
        let mut events = 0;
        for log in &self.logs {
            events += log.heads().await.unwrap().iter().sum::<i64>();
        }
        events
    }

    pub(crate) fn orders(&self) -> &Log {
        &self.logs[1]
    }

    pub(crate) fn inventory(&self) -> &Log {
        &self.logs[2]
    }
}

impl Call<'_> {
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) async fn send(self, body: Value) -> Reply {
        self.send_raw(body.to_string()).await
    }

    pub(crate) async fn send_raw(self, body: impl Into<Body>) -> Reply {
        let request = self.request.body(body.into()).unwrap();
        let response = self.shop.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let mut headers = parts.headers;
        // The only header that differs between two equal answers.
        headers.remove("x-correlation-id");
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap();
        Reply { status: parts.status, headers, body }
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a problem of that type, whose errors are at these pointers.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, slug: &str, pointers: &[&str]) {
        let shown = &self.body;
        assert_eq!(self.status.as_u16(), status, "{shown}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(shown["status"], status, "{shown}");
        assert_eq!(shown["type"], format!("urn:daybook:problem:{slug}"), "{shown}");
        let errors = shown["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, pointers, "{shown}");
    }
}

pub(crate) fn pounds(pence: i64) -> Value {
    json!({"amount": pence, "currency": "GBP"})
}

/// An order that is all right: six of the SKU, at no price of its own.
pub(crate) fn order(sku: &str) -> Value {
    json!({
        "customer": "17850",
        "country": "GB",
        "payment_method": "pm_card_visa",
        "lines": [{"sku": sku, "quantity": 6}],
    })
}

async fn empty_database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("DAYBOOK_TEST_DATABASE_URL").expect(
        "DAYBOOK_TEST_DATABASE_URL is unset: run `make test`, or eval \"$(scripts/test-servers env)\"",
    );
    let mut database = Database::parse(&url).unwrap();
    let since = UNIX_EPOCH.elapsed().unwrap().as_millis();
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let name = format!("it_commands_{process}_{next}_{since}");
    let client = database.connect("tests").await.unwrap();
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    database.config.dbname(&name);
    database
}
