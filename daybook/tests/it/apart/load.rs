//! Callers who order for as long as they are told to, and what is seen of those who wait for a service.

use crate::shop::{eventually, order, post};
use crate::support::{Daybook, World, http};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const CALLERS: usize = 3;
const BETWEEN_ORDERS: Duration = Duration::from_millis(200);
/// Who has no answer by then sends the same again.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Load {
    going: AtomicBool,
    placed: AtomicUsize,
}

impl Load {
    pub(super) fn new() -> Self {
        Load { going: AtomicBool::new(true), placed: AtomicUsize::new(0) }
    }

    pub(super) fn ends(&self) {
        self.going.store(false, Ordering::Relaxed);
    }

    /// Orders until it ends, each with a key, until it has an answer; gives how many there are.
    pub(super) async fn orders(&self, world: &World) -> usize {
        let front = world.street.as_ref().unwrap().front.url.clone();
        let (url, http) = (format!("{front}/v1/orders"), http());
        let caller = async |caller: usize| {
            let mut orders = 0;
            while self.going.load(Ordering::Relaxed) {
                let key = format!("caller-{caller}-{orders}");
                let body = order(&["A"], "pm_card_visa");
                let sending = http.post(&url).header("idempotency-key", &key).json(&body);
                let answer = sending.timeout(PATIENCE).send().await;
                if answer.is_ok_and(|answer| answer.status() == 201) {
                    orders += 1;
                    self.placed.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(BETWEEN_ORDERS).await;
            }
            // Whatever was under way at last: the answer is that of its key.
            let key = format!("caller-{caller}-{orders}");
            let body = order(&["A"], "pm_card_visa");
            eventually("the last order is answered", async || {
                let last = post(&http, &url, Some(&key), &body).await;
                (last.status == 201).then_some(()).ok_or(format!("{last:?}"))
            })
            .await;
            orders + 1
        };
        join_all((0..CALLERS).map(caller)).await.into_iter().sum()
    }

    /// Orders go on to be placed, whoever is away.
    pub(super) async fn goes_on_without(&self, whom: &str) {
        let before = self.placed.load(Ordering::Relaxed);
        eventually("orders are placed without it", async || {
            let more = self.placed.load(Ordering::Relaxed) - before;
            (more > 3).then_some(()).ok_or(format!("{more} more, without {whom}"))
        })
        .await;
    }
}

/// Orders whose payment is held back at once: more than a breaker takes.
pub(super) const HELD: usize = 12;

/// From here on the provider answers for no payment. The checkouts ask the orders for nothing but to confirm what is
/// paid: some must be about to be paid when the orders go away.
pub(super) async fn hold_payments(world: &World) {
    world.provider.behave(&json!({"mode": "error"})).await;
}

/// Waits until enough are held back.
pub(super) async fn payments_are_held(world: &World) {
    let sql = "select count(*) from payments.event e where type = 'payment.authorisation_requested' \
         and not exists (select from payments.event l where l.stream = e.stream and l.version > e.version)";
    let postgres = world.sql().await;
    eventually("payments are held back", async || {
        let held: i64 = postgres.query_one(sql, &[]).await.unwrap().get(0);
        (usize::try_from(held).unwrap() >= HELD).then_some(()).ok_or(format!("{held}"))
    })
    .await;
}

pub(super) async fn let_payments_go(world: &World) {
    world.provider.behave(&json!({"mode": "up"})).await;
}

/// What the checkouts ask a service for that is on an order's way to its confirmation.
pub(super) fn asked_of(service: &str) -> Option<&'static str> {
    match service {
        "inventory" => Some("reserve:"),
        "payments" => Some("authorise"),
        "orders" => Some("confirm"),
        _ => None,
    }
}

/// What waits for a service is listed as due, with the reason.
pub(super) async fn listed_as_due(world: &World, service: &str) {
    let asked = asked_of(service).expect("a service that is asked");
    let street = world.street.as_ref().unwrap();
    eventually("what the checkouts ask of it is due, and why is known", async || {
        let listed = street.command(world, "dues list", "checkout").arg("--json").output().await;
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        let mut dues = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let waits = |due: &Value| {
            let why = due["last_error"].as_str().unwrap_or_default();
            due["key"].as_str().unwrap().starts_with(asked) && why.contains(service)
        };
        dues.any(|due| waits(&due)).then_some(()).ok_or(listed.clone())
    })
    .await;
}

/// Nobody runs against a closed door for long: one of those who ask at it leaves it alone.
pub(super) async fn is_left_alone(checkouts: &[&Daybook]) {
    eventually("the checkouts leave it alone", async || {
        let open = checkouts.iter().map(|it| it.metric("daybook_breaker_open"));
        let open = join_all(open).await;
        let is_one = open.iter().flatten().any(|open| *open > 0.0);
        is_one.then_some(()).ok_or(format!("{open:?}"))
    })
    .await;
}
