//! Everything that happened to one order, in whichever stream, and what it still waits for.

use crate::query::{Asker, failed};
use axum::Json;
use chrono::{DateTime, Utc};
use decider::{Decider, Owes};
use domain::checkout::checkout::{self, Checkout, Request};
use domain::ids::{OrderId, OrderNumber};
use domain::inventory::stock;
use domain::orders::order;
use domain::payments::payment;
use edge::{Params, Problem, Target};
use event_store::dues::{Late, owed, request_id};
use event_store::follow::ReadSide;
use event_store::{Log, Recorded, StoreError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// The story of an order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Timeline {
    pub order: Uuid,
    pub number: OrderNumber,
    /// In the order in which they were recorded.
    pub events: Vec<Happened>,
    /// What is owed and not settled.
    pub due: Vec<StillDue>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Happened {
    pub position: String,
    pub stream: String,
    pub version: i64,
    #[serde(rename = "type")]
    pub event_type: String,
    pub id: Uuid,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub payload: Box<RawValue>,
    /// The event that led to it, if it is one of these.
    pub because_of: Option<BecauseOf>,
    pub correlation: String,
    pub actor: String,
    pub recorded_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BecauseOf {
    pub stream: String,
    pub version: i64,
    #[serde(rename = "type")]
    pub event_type: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StillDue {
    pub stream: String,
    /// `authorise:1`
    pub key: String,
    /// Since when, or when it will be.
    pub due_at: DateTime<Utc>,
    pub tries: i32,
    pub last_error: Option<String>,
}

/// Events of one stream that are read at once; an order has a few dozen.
const PAGE: i64 = 1_000;

/// Reads the story of an order from the logs; none if there is no such order.
///
/// # Errors
/// If a log or the dues cannot be read, or an event is of a newer binary.
pub async fn timeline(
    logs: &HashMap<&str, &Log>,
    reads: &HashMap<&str, &ReadSide>,
    order: OrderId,
) -> Result<Option<Timeline>, StoreError> {
    let own = stream(logs, "orders", &order::stream(order)).await?;
    if own.is_empty() {
        return Ok(None);
    }
    let streams = [payment::stream(order), checkout::stream(order)];
    let [paid, settled] = [
        stream(logs, "payments", &streams[0]).await?,
        stream(logs, "checkout", &streams[1]).await?,
    ];
    let (stocks, commands): (Vec<_>, Vec<_>) = asked_of_stock(order, &settled).into_iter().unzip();
    let stock = match logs.get("inventory") {
        Some(log) if !stocks.is_empty() => log.read_commands(&stocks, &commands).await?,
        Some(_) | None => Vec::new(),
    };
    let mut events: Vec<_> = own.into_iter().chain(paid).chain(settled).chain(stock).collect();
    events.sort_by_key(|event| (event.recorded_at, event.service.clone(), event.offset));
    let mut due = Vec::new();
    for service in ["checkout", "payments"] {
        if let Some(read) = reads.get(service) {
            due.extend(owed(read, &streams).await?.into_iter().map(StillDue::of));
        }
    }
    let events = happened(&events)?;
    Ok(Some(Timeline { order: order.0, number: order.number(), events, due }))
}

impl StillDue {
    fn of(due: Late) -> Self {
        let Late { stream, key, due_at, tries, last_error } = due;
        StillDue { stream, key, due_at, tries, last_error }
    }
}

async fn stream(
    logs: &HashMap<&str, &Log>,
    service: &str,
    name: &str,
) -> Result<Vec<Recorded>, StoreError> {
    let Some(log) = logs.get(service) else { return Ok(Vec::new()) };
    let mut events = Vec::new();
    loop {
        let after = events.last().map_or(0, |event: &Recorded| event.version);
        let page = log.read_stream(name, after, PAGE).await?;
        let last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        events.extend(page);
        if last {
            return Ok(events);
        }
    }
}

/// What the checkout has asked of stock, ever: the streams, and the ids of the commands. The streams of stock are those
/// of many orders, and too long to be read.
fn asked_of_stock(order: OrderId, settled: &[Recorded]) -> BTreeSet<(String, Uuid)> {
    let (mut state, mut asked) = (<Checkout as Decider>::State::default(), BTreeSet::new());
    let from = checkout::stream(order);
    for event in settled {
        // What a newer binary wrote is told of, but what it asks for is not known here.
        let Ok(event) = event.decode::<checkout::Event>() else { break };
        state = Checkout::evolve(state, &event);
        for due in Checkout::pending(&state) {
            if let Request::Reserve { sku, .. }
            | Request::Release { sku }
            | Request::ShipStock { sku } = &due.request
            {
                asked.insert((stock::stream(sku), request_id(&from, &due.key)));
            }
        }
    }
    asked
}

fn happened(events: &[Recorded]) -> Result<Vec<Happened>, StoreError> {
    let by_id: HashMap<Uuid, &Recorded> = events.iter().map(|it| (it.event_id, it)).collect();
    let happened = |event: &Recorded| {
        let cause = event.metadata.causation.and_then(|id| by_id.get(&id));
        Ok(Happened {
            position: event.position().to_string(),
            stream: event.stream.clone(),
            version: event.version,
            event_type: event.event_type.clone(),
            id: event.event_id,
            payload: RawValue::from_string(event.payload.clone())?,
            because_of: cause.map(|cause| BecauseOf {
                stream: cause.stream.clone(),
                version: cause.version,
                event_type: cause.event_type.clone(),
            }),
            correlation: event.metadata.correlation.clone(),
            actor: event.metadata.actor.clone(),
            recorded_at: event.recorded_at,
        })
    };
    events.iter().map(happened).collect()
}

/// `GET /v1/orders/{id}/timeline`
pub(crate) async fn find(
    asker: Asker,
    Target(order): Target<OrderId>,
    params: Params,
) -> Result<Json<Timeline>, Problem> {
    params.read(|_| Some(()))?;
    // Half of the story would be taken for the whole.
    let told_by = ["orders", "payments", "checkout", "inventory"];
    if told_by.iter().any(|service| asker.log(service).is_none()) {
        return Err(asker.not_served("the story of an order in all its streams"));
    }
    let logs = asker.logs().map(|log| (&**log.service(), log)).collect();
    let reads = asker.reads().map(|read| (&*read.service, read)).collect();
    let timeline = timeline(&logs, &reads, order).await.map_err(failed)?;
    let none = || Problem::not_found(format!("There is no order {order}."));
    timeline.map(Json).ok_or_else(none)
}
