//! A stand-in for Daybook's API that remembers every command, and can refuse, stall and be killed.
//!
//! Its memory is like a log on disk: it survives the kill. A command that is being answered when the kill
//! comes is remembered and never answered.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    runtime::Runtime,
    sync::Notify,
    time::{Duration, sleep},
};
use uuid::Uuid;

/// A command that was taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) body: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeOrder {
    pub(crate) lines: BTreeMap<String, i64>,
    pub(crate) status: &'static str,
    pub(crate) placed_at: String,
    pub(crate) cancel_reason: Option<&'static str>,
}

#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) taken: Vec<Taken>,
    answers: HashMap<String, (Taken, StatusCode, Option<String>)>,
    pub(crate) products: HashSet<String>,
    pub(crate) on_hand: BTreeMap<String, i64>,
    pub(crate) orders: BTreeMap<Uuid, FakeOrder>,
    /// Requests so far, and the commands among them that were answered before.
    pub(crate) requests: u64,
    pub(crate) repeats: u64,
    pub(crate) faults: Faults,
    die_at: Option<usize>,
}

/// What goes wrong.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) no_history: bool,
    /// Every so many requests, one is answered 503.
    pub(crate) busy_every: Option<u64>,
    /// Orders that stay placed for ever.
    pub(crate) no_checkout: bool,
    /// The customer whose orders are refused, and the one whose payment is declined.
    pub(crate) refused_customer: Option<&'static str>,
    pub(crate) declined_customer: Option<&'static str>,
}

#[derive(Clone, Default)]
struct Shared {
    shop: Arc<Mutex<Shop>>,
    dying: Arc<Notify>,
}

pub(crate) struct FakeDaybook {
    address: SocketAddr,
    shared: Shared,
    runtime: Option<Runtime>,
}

impl FakeDaybook {
    pub(crate) fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut fake = Self { address, shared: Shared::default(), runtime: None };
        fake.shop().faults = faults;
        fake.serve(listener);
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn shop(&self) -> MutexGuard<'_, Shop> {
        self.shared.shop.lock().unwrap()
    }

    /// Dies while it takes its n-th command from now: remembered, not answered. Then starts anew.
    pub(crate) async fn die_after(&mut self, commands: usize) {
        let at = self.shop().taken.len() + commands;
        self.shop().die_at = Some(at);
        self.shared.dying.notified().await;
        self.kill();
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        };
        self.serve(listener);
    }

    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn serve(&mut self, listener: TcpListener) {
        let app = Router::new()
            .route("/v1/products", post(command))
            .route("/v1/stock/{sku}/receive", post(command))
            .route("/v1/stock/{sku}/adjust", post(command))
            .route("/v1/orders", post(command).get(list))
            .route("/v1/orders/{id}", get(one))
            .route("/v1/orders/{id}/ship", post(command))
            .with_state(self.shared.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        self.runtime = Some(runtime);
    }
}

impl Drop for FakeDaybook {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A status, and the slug of the problem's type.
struct Problem(StatusCode, &'static str);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(status, slug) = self;
        let kind = format!("urn:daybook:problem:{slug}");
        (status, Json(json!({ "type": kind, "status": status.as_u16() }))).into_response()
    }
}

async fn command(
    State(shared): State<Shared>,
    request: axum::http::Request<Body>,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    let path = parts.uri.path().to_owned();
    let key = parts.headers["Idempotency-Key"].to_str().unwrap().trim_matches('"').to_owned();
    let (answer, dies) = {
        let mut shop = shared.shop.lock().unwrap();
        shop.pass_faults()?;
        let answer = shop.take(Taken { path, key, body });
        let dies = shop.die_at.is_some_and(|at| shop.taken.len() >= at);
        if dies {
            // Only the first of those in flight announces it.
            shop.die_at = None;
            shared.dying.notify_one();
        }
        (answer, dies)
    };
    if dies {
        std::future::pending::<()>().await;
    }
    answer
}

impl Shop {
    fn pass_faults(&mut self) -> Result<(), Problem> {
        self.requests += 1;
        match self.faults.busy_every {
            Some(every) if self.requests.is_multiple_of(every) => {
                Err(Problem(StatusCode::SERVICE_UNAVAILABLE, "busy"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn take(&mut self, command: Taken) -> Result<Response, Problem> {
        if self.faults.no_history {
            return Err(Problem(StatusCode::FORBIDDEN, "history-not-accepted"));
        }
        if let Some((first, status, location)) = self.answers.get(&command.key) {
            self.repeats += 1;
            if *first != command {
                return Err(Problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused"));
            }
            return Ok(taken(*status, location.as_deref()));
        }
        let (status, location) = self.apply(&command)?;
        self.answers.insert(command.key.clone(), (command.clone(), status, location.clone()));
        self.taken.push(command);
        Ok(taken(status, location.as_deref()))
    }

    fn apply(
        &mut self,
        Taken { path, key, body }: &Taken,
    ) -> Result<(StatusCode, Option<String>), Problem> {
        let is_history = body["occurred_at"].as_str().is_some_and(|at| at.starts_with("2010-"));
        assert_eq!(is_history, !path.ends_with("/ship"), "{path} {body}");
        let segments: Vec<_> = path.split('/').skip(2).collect();
        match segments.as_slice() {
            ["products"] => {
                self.products.insert(body["sku"].as_str().unwrap().to_owned());
                Ok((StatusCode::CREATED, None))
            }
            ["stock", sku, "receive"] => {
                let quantity = body["quantity"].as_i64().unwrap();
                assert!((1..=1_000_000).contains(&quantity));
                *self.on_hand.entry((*sku).to_owned()).or_default() += quantity;
                Ok((StatusCode::OK, None))
            }
            ["stock", sku, "adjust"] => {
                let change = body["change"].as_i64().unwrap();
                assert_eq!(body["reason"], if change < 0 { "written-off" } else { "found" });
                *self.on_hand.entry((*sku).to_owned()).or_default() += change;
                Ok((StatusCode::OK, None))
            }
            ["orders"] => self.place(key, body),
            ["orders", id, "ship"] => {
                let order = self.orders.get_mut(&id.parse().unwrap()).unwrap();
                if order.status != "confirmed" {
                    return Err(Problem(StatusCode::CONFLICT, "not-confirmed"));
                }
                order.status = "shipped";
                Ok((StatusCode::OK, None))
            }
            _ => Err(Problem(StatusCode::NOT_FOUND, "not-found")),
        }
    }

    fn place(&mut self, key: &str, body: &Value) -> Result<(StatusCode, Option<String>), Problem> {
        let customer = body["customer"].as_str();
        if customer.is_some() && customer == self.faults.refused_customer {
            return Err(Problem(StatusCode::UNPROCESSABLE_ENTITY, "discount-exceeds-total"));
        }
        let mut lines = BTreeMap::new();
        for line in body["lines"].as_array().unwrap() {
            let sku = line["sku"].as_str().unwrap().to_owned();
            assert!(self.products.contains(&sku), "{sku} is ordered before it is listed");
            *lines.entry(sku).or_default() += line["quantity"].as_i64().unwrap();
        }
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes());
        let placed_at = body["occurred_at"].as_str().unwrap().to_owned();
        let mut order = FakeOrder { lines, status: "placed", placed_at, cancel_reason: None };
        if customer.is_some() && customer == self.faults.declined_customer {
            order.cancel_reason = Some("payment-declined");
        }
        self.orders.insert(id, order);
        Ok((StatusCode::CREATED, Some(format!("/v1/orders/{id}"))))
    }

    /// The checkouts of all orders that are placed: done between two questions.
    fn check_out(&mut self) {
        if self.faults.no_checkout {
            return;
        }
        for order in self.orders.values_mut().filter(|order| order.status == "placed") {
            if order.cancel_reason.is_some() {
                order.status = "cancelled";
                continue;
            }
            for (sku, quantity) in &order.lines {
                let on_hand = self.on_hand.get_mut(sku).expect("received before it is ordered");
                *on_hand -= quantity;
                assert!(*on_hand >= 0, "{sku} is sold before it is received");
            }
            order.status = "confirmed";
        }
    }

    fn view(&self, id: Uuid) -> Option<Value> {
        let order = self.orders.get(&id)?;
        Some(json!({
            "order": id, "number": "7K2MQ-4XR9D", "status": order.status,
            "cancel_reason": order.cancel_reason, "placed_at": order.placed_at,
        }))
    }
}

fn taken(status: StatusCode, location: Option<&str>) -> Response {
    let body = Json(json!({ "stream": "s", "version": 1, "events": [] }));
    let mut response = (status, [("Daybook-Position", "orders/5@1:7")], body).into_response();
    if let Some(location) = location {
        response.headers_mut().insert("Location", location.parse().unwrap());
    }
    response
}

async fn one(State(shared): State<Shared>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let mut shop = shared.shop.lock().unwrap();
    shop.pass_faults()?;
    let view = shop.view(id).ok_or(Problem(StatusCode::NOT_FOUND, "not-found"))?;
    // What is asked for is as it was before: a read model is always a little behind.
    shop.check_out();
    Ok(Json(view).into_response())
}

/// Pages of seven, so that there is more than one.
async fn list(
    State(shared): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let mut shop = shared.shop.lock().unwrap();
    shop.pass_faults()?;
    let (from, to) = (&query["placed_from"], &query["placed_to"]);
    let after: Option<Uuid> = query.get("after").map(|after| after.parse().unwrap());
    let is_asked_for = |(id, order): &(&Uuid, &FakeOrder)| {
        order.status == query["status"]
            && (from..to).contains(&&order.placed_at)
            && after.is_none_or(|after| **id > after)
    };
    let mut ids: Vec<Uuid> =
        shop.orders.iter().filter(is_asked_for).map(|(id, _)| *id).take(8).collect();
    let has_more = ids.len() > 7;
    ids.truncate(7);
    let items: Vec<_> = ids.iter().map(|id| shop.view(*id)).collect();
    let next = ids.last().filter(|_| has_more);
    let page = Json(json!({ "items": items, "next": next }));
    shop.check_out();
    Ok(page.into_response())
}
