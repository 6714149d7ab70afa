//! A whole shop on a database of its own: four services, their sagas, and a sandbox to pay at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use domain::checkout::checkout::{self, Checkout, Patience};
use domain::ids::OrderId;
use domain::inventory::stock::{self, Stock};
use domain::orders::order::{self, CancelReason, Line, Order};
use domain::payments::payment::{self, Payment};
use domain::values::{Money, Sku};
use edge::BreakerSettings;
use event_store::dues::{DueLimits, DueWorker};
use event_store::follow::{Feed, ReadSide, Runner};
use event_store::{
    Database, Envelope, Log, LogSettings, Metadata, TransactLimits, Transactor, migrate,
};
use sagas::checkout::{Services, Settings};
use sagas::provider::{Provider, Timeouts};
use sagas::{Port, Saga, payment as payments};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::Sandbox;

const PARTITIONS: u32 = 4;
const SERVICES: [&str; 4] = ["orders", "inventory", "payments", "checkout"];
pub(crate) const PATIENT: Patience = Patience { settle_s: 600, finish_s: 600 };

/// One process of a shop. Several may share a database and a sandbox.
pub(crate) struct Shop {
    pub(crate) order: Transactor<Order>,
    pub(crate) stock: Transactor<Stock>,
    pub(crate) payment: Transactor<Payment>,
    pub(crate) checkout: Transactor<Checkout>,
    database: Database,
    stop: CancellationToken,
    runner: Runner,
    workers: TaskTracker,
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is unset: run `make test`, or eval \"$(scripts/test-servers env)\"")
    })
}

async fn empty_database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = Database::parse(&variable("DAYBOOK_TEST_DATABASE_URL")).unwrap();
    let since = UNIX_EPOCH.elapsed().unwrap().as_millis();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("it_{}_{next}_{since}", std::process::id());
    let client = server.connect("tests").await.unwrap();
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    let mut database = server;
    database.config.dbname(&name);
    database
}

pub(crate) async fn database() -> Database {
    let database = empty_database().await;
    for service in SERVICES {
        migrate(&database, service, PARTITIONS).await.unwrap();
    }
    database
}

async fn open(database: &Database, service: &str) -> Log {
    let settings = LogSettings::new(service, PARTITIONS, database.of_service(service));
    Log::open(settings).await.unwrap()
}

/// Patient with the provider, quick to try again.
fn limits() -> DueLimits {
    let retry_most = Duration::from_millis(200);
    DueLimits { retry_first: Duration::from_millis(20), retry_most, ..DueLimits::default() }
}

impl Shop {
    pub(crate) async fn open(sandbox: &Sandbox) -> Self {
        Self::on(&database().await, sandbox, PATIENT).await
    }

    pub(crate) async fn on(database: &Database, sandbox: &Sandbox, patience: Patience) -> Self {
        let write = TransactLimits::default;
        let order = Transactor::new(open(database, "orders").await, write());
        let stock = Transactor::new(open(database, "inventory").await, write());
        let payment = Transactor::new(open(database, "payments").await, write());
        let checkout = Transactor::<Checkout>::new(open(database, "checkout").await, write());
        let stop = CancellationToken::new();
        let logs = [order.log(), stock.log(), payment.log(), checkout.log()];
        let runner = Runner::new(logs.map(|log| Feed::new(log.clone())).to_vec(), stop.clone());
        let workers = TaskTracker::new();
        let shop = Self {
            order,
            stock,
            payment,
            checkout,
            database: database.clone(),
            stop,
            runner,
            workers,
        };
        shop.start_sagas(sandbox, patience);
        shop
    }

    fn start_sagas(&self, sandbox: &Sandbox, patience: Patience) {
        let timeouts = Timeouts { answer: Duration::from_secs(2), ..Timeouts::default() };
        let breaker = BreakerSettings {
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_millis(200),
            ..BreakerSettings::default()
        };
        let provider = Provider::new(&sandbox.url, "sk_test_it", timeouts, breaker).unwrap();
        let read =
            |service| ReadSide::open(&self.database.of_service(service), service, 8).unwrap();

        let mine = read("payments");
        let Saga { followers, worker } =
            payments::saga(self.payment.clone(), &mine, provider, limits());
        followers.iter().for_each(|follower| drop(self.runner.follow(follower, 0, &mine)));
        self.work(worker);

        let mine = read("checkout");
        let services = Services {
            stock: Port::Here(self.stock.clone()),
            order: Port::Here(self.order.clone()),
            payment: Port::Here(self.payment.clone()),
        };
        let settings = Settings { patience, limits: limits(), ..Settings::default() };
        let Saga { followers, worker } =
            sagas::checkout::saga(self.checkout.clone(), services, &mine, settings);
        followers.iter().for_each(|follower| drop(self.runner.follow(follower, 0, &mine)));
        self.work(worker);
    }

    fn work<D: decider::Owes>(&self, worker: DueWorker<D>) {
        self.workers.spawn(worker.run(self.stop.clone()));
    }

    /// Ends the process in good order, and gives its database.
    pub(crate) async fn close(self) -> Database {
        self.stop.cancel();
        self.runner.wait().await;
        self.workers.close();
        self.workers.wait().await;
        for log in [self.order.log(), self.stock.log(), self.payment.log(), self.checkout.log()] {
            log.close().await;
        }
        self.database
    }

    pub(crate) async fn receive(&self, sku: &str, quantity: i64) {
        let command = stock::Command::Receive { quantity: quantity.try_into().unwrap() };
        let stream = stock::stream(&sku.parse().unwrap());
        self.stock.transact(&stream, command, envelope()).await.unwrap();
    }

    /// Places an order over (sku, quantity) at a pound each.
    pub(crate) async fn place(&self, lines: &[(&str, i64)], method: &str) -> OrderId {
        self.place_at(100, lines, method).await
    }

    pub(crate) async fn place_at(
        &self,
        pence: i64,
        lines: &[(&str, i64)],
        method: &str,
    ) -> OrderId {
        let order = OrderId(edge::ids::mint());
        self.place_as(order, pence, lines, method).await;
        order
    }

    pub(crate) async fn place_as(
        &self,
        order: OrderId,
        pence: i64,
        lines: &[(&str, i64)],
        method: &str,
    ) {
        let line = |(sku, quantity): &(&str, i64)| Line {
            sku: sku.parse().unwrap(),
            quantity: (*quantity).try_into().unwrap(),
            unit_price: Money::new(pence, "GBP".parse().unwrap()).unwrap(),
            tax_rate: Default::default(),
        };
        let command = order::Command::Place {
            order,
            lines: lines.iter().map(line).collect(),
            shipping: None,
            discount: None,
            customer: None,
            country: "GB".parse().unwrap(),
            payment_method: method.parse().unwrap(),
        };
        self.order.transact(&order::stream(order), command, envelope()).await.unwrap();
    }

    pub(crate) async fn cancel(&self, order: OrderId) {
        let command = order::Command::Cancel { reason: CancelReason::CustomerRequest };
        self.order.transact(&order::stream(order), command, envelope()).await.unwrap();
    }

    pub(crate) async fn ship(&self, order: OrderId) {
        let command = order::Command::Ship {};
        self.order.transact(&order::stream(order), command, envelope()).await.unwrap();
    }

    pub(crate) async fn order_state(&self, order: OrderId) -> order::State {
        self.order.state(&order::stream(order)).await.unwrap().0
    }

    pub(crate) async fn is_confirmed(&self, order: OrderId) -> bool {
        matches!(self.order_state(order).await, order::State::Confirmed { .. })
    }

    pub(crate) async fn is_settled(&self, order: OrderId) -> bool {
        !matches!(self.order_state(order).await, order::State::Placed { .. })
    }

    pub(crate) async fn is_completed(&self, order: OrderId) -> bool {
        let stream = checkout::stream(order);
        self.checkout.state(&stream).await.unwrap().0 == checkout::State::Completed
    }

    pub(crate) async fn confirmed(&self, order: OrderId) {
        eventually("the order is confirmed", || self.is_confirmed(order)).await;
    }

    pub(crate) async fn completed(&self, order: OrderId) {
        eventually("the checkout is completed", || self.is_completed(order)).await;
    }

    /// On hand and reserved.
    pub(crate) async fn shelf(&self, sku: &str) -> (u64, u64) {
        let stream = stock::stream(&sku.parse::<Sku>().unwrap());
        match self.stock.state(&stream).await.unwrap().0 {
            stock::State::Empty => (0, 0),
            stock::State::Stocked(shelf) => (shelf.on_hand, shelf.reserved),
        }
    }

    /// The types of an order's events, stream by stream.
    pub(crate) async fn order_events(&self, order: OrderId) -> Vec<String> {
        types(self.order.log(), &order::stream(order)).await
    }

    pub(crate) async fn payment_events(&self, order: OrderId) -> Vec<String> {
        types(self.payment.log(), &payment::stream(order)).await
    }

    pub(crate) async fn checkout_events(&self, order: OrderId) -> Vec<String> {
        types(self.checkout.log(), &checkout::stream(order)).await
    }

    /// Why the order was cancelled.
    pub(crate) async fn cancel_reason(&self, order: OrderId) -> CancelReason {
        let log = self.order.log();
        let events = log.read_stream(&order::stream(order), 0, 100).await.unwrap();
        let reason = events.iter().find_map(|event| match event.decode().unwrap() {
            order::Event::Cancelled { reason } => Some(reason),
            order::Event::Placed { .. }
            | order::Event::Confirmed {}
            | order::Event::Shipped { .. }
            | order::Event::Closed {} => None,
        });
        reason.expect("the order was cancelled")
    }

    /// The provider's book says of these orders, and of no others, what our log says.
    pub(crate) async fn assert_books_agree(&self, sandbox: &Sandbox, orders: &[OrderId]) {
        let report = sandbox.report().await;
        let known: Vec<String> = orders.iter().map(OrderId::to_string).collect();
        for entry in &report.orders {
            assert!(known.contains(&entry.order), "the log knows nothing of {entry:?}");
            assert!(entry.sums.charges <= 1, "charged twice: {entry:?}");
        }
        for &order in orders {
            let theirs = report.orders.iter().find(|entry| entry.order == order.to_string());
            let theirs = theirs.map(|entry| entry.sums).unwrap_or_default();
            let (held, captured, refunded) = self.money(order).await;
            assert_eq!((theirs.held, theirs.captured, theirs.refunded), (held, captured, refunded));
        }
    }

    /// What our own log says is held, was captured, and was refunded.
    async fn money(&self, order: OrderId) -> (i64, i64, i64) {
        match self.payment.state(&payment::stream(order)).await.unwrap().0 {
            payment::State::Unrequested
            | payment::State::NotAuthorised { .. }
            | payment::State::Voided => (0, 0, 0),
            payment::State::Authorised(held) => (held.authorised.amount(), 0, 0),
            payment::State::Captured(taken) => {
                (0, taken.captured.amount(), taken.refunded.amount())
            }
            open @ (payment::State::Authorising { .. }
            | payment::State::Capturing { .. }
            | payment::State::Voiding { .. }
            | payment::State::Refunding { .. }) => panic!("{order} is still open: {open:?}"),
        }
    }
}

async fn types(log: &Log, stream: &str) -> Vec<String> {
    let events = log.read_stream(stream, 0, 1_000).await.unwrap();
    events.into_iter().map(|event| event.event_type).collect()
}

pub(crate) fn envelope() -> Envelope {
    let correlation = edge::ids::mint().to_string();
    Envelope {
        command_id: edge::ids::mint(),
        fingerprint: None,
        occurred_at: edge::clock::now(),
        metadata: Metadata {
            correlation,
            causation: None,
            actor: "tests".to_owned(),
            traceparent: None,
        },
        expected_version: None,
    }
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

pub(crate) async fn completed_all(shop: &Shop, orders: &[OrderId]) {
    for &order in orders {
        shop.completed(order).await;
    }
}

/// Two processes of one shop.
pub(crate) async fn two(sandbox: &Sandbox) -> (Arc<Shop>, Arc<Shop>) {
    let database = database().await;
    let one = Shop::on(&database, sandbox, PATIENT).await;
    let other = Shop::on(&database, sandbox, PATIENT).await;
    (Arc::new(one), Arc::new(other))
}
