//! Everything that happened to one order, in whichever stream, and what it still waits for.

use crate::query::{Asker, Teller, failed};
use axum::Json;
use chrono::{DateTime, Utc};
use decider::{Decider, Owes};
use domain::checkout::checkout::{self, Checkout, Request};
use domain::ids::{OrderId, OrderNumber};
use domain::inventory::stock;
use domain::orders::order;
use domain::payments::payment::{self, Payment};
use edge::{OnlyOf, Params, Problem, Target};
use event_store::dues::{Late, owed, request_id};
use event_store::follow::ReadSide;
use event_store::{Recorded, StoreError};
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
    /// What belongs to the story and could not be asked for: nobody knows where it is, or whoever has it is away.
    pub absent: Vec<Absent>,
}

/// A part of the story that is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Absent {
    pub service: String,
    pub what: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Part {
    Events,
    Due,
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

/// Reads the story of an order from those who tell of it, and from the dues that are here; none if there is no such
/// order. Whoever tells of no more than a part of it is named.
///
/// # Errors
/// If a log that is here, that of the orders or the dues cannot be read, or an event is of a newer binary.
pub async fn timeline(
    tellers: &HashMap<&str, Teller<'_>>,
    reads: &HashMap<&str, &ReadSide>,
    order: OrderId,
) -> Result<Option<Timeline>, StoreError> {
    let orders = tellers.get("orders").ok_or_else(|| StoreError::Elsewhere {
        service: "orders".to_owned(),
        why: "nobody knows where".to_owned(),
        passes: false,
    })?;
    let own = orders.stream(&order::stream(order)).await?;
    if own.is_empty() {
        return Ok(None);
    }
    let mut absent = Vec::new();
    let mut told = |service: &str, events: Option<Result<Vec<Recorded>, StoreError>>| {
        match events {
            Some(Err(StoreError::Elsewhere { why, .. })) => {
                tracing::info!(service, why, "a part of an order's story is not told");
            }
            Some(events) => return events,
            None => {}
        }
        absent.push(Absent { service: service.to_owned(), what: Part::Events });
        Ok(Vec::new())
    };
    let streams = [payment::stream(order), checkout::stream(order)];
    let paid = whole(tellers.get("payments"), &streams[0]).await;
    let paid = told("payments", paid)?;
    let settled = whole(tellers.get("checkout"), &streams[1]).await;
    let settled = told("checkout", settled)?;
    let sought = asked_of_stock(order, &settled);
    let stock = match tellers.get("inventory") {
        Some(_) if sought.is_empty() => Some(Ok(Vec::new())),
        Some(teller) => Some(teller.commands(&sought).await),
        None => None,
    };
    let stock = told("inventory", stock)?;
    let mut events: Vec<_> = own.into_iter().chain(paid).chain(settled).chain(stock).collect();
    events.sort_by_key(|event| (event.recorded_at, event.service.clone(), event.offset));
    let mut due = Vec::new();
    for service in ["checkout", "payments"] {
        match reads.get(service) {
            Some(read) => due.extend(owed(read, &streams).await?.into_iter().map(StillDue::of)),
            None => absent.push(Absent { service: service.to_owned(), what: Part::Due }),
        }
    }
    let (number, events) = (order.number(), happened(&events)?);
    Ok(Some(Timeline { order: order.0, number, events, due, absent }))
}

/// None: nobody tells of it.
async fn whole(
    teller: Option<&Teller<'_>>,
    stream: &str,
) -> Option<Result<Vec<Recorded>, StoreError>> {
    Some(teller?.stream(stream).await)
}

impl StillDue {
    fn of(due: Late) -> Self {
        let Late { stream, key, due_at, tries, last_error } = due;
        StillDue { stream, key, due_at, tries, last_error }
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
    OnlyOf(only): OnlyOf,
    Target(order): Target<OrderId>,
    params: Params,
) -> Result<Json<Timeline>, Problem> {
    params.read(|_| Some(()))?;
    let told_by = ["orders", "payments", "checkout", "inventory"];
    let teller = |service| Some((service, asker.teller(service)?));
    let tellers: HashMap<_, _> = told_by.into_iter().filter_map(teller).collect();
    if !tellers.contains_key("orders") {
        return Err(asker.not_served("the story of an order"));
    }
    asker.has_lost_nothing_of(&told_by).await?;
    let reads: HashMap<_, _> = asker.reads().map(|read| (&*read.service, read)).collect();
    if let Some(read) = reads.get("checkout") {
        asker.dues::<Checkout>(read).await?;
    }
    if let Some(read) = reads.get("payments") {
        asker.dues::<Payment>(read).await?;
    }
    let timeline = timeline(&tellers, &reads, order).await.map_err(failed)?;
    let none = || Problem::not_found(format!("There is no order {order}."));
    let mut timeline = timeline.ok_or_else(none)?;
    if only.is_some() {
        // What went wrong inside is no customer's business.
        timeline.due.iter_mut().for_each(|due| due.last_error = None);
    }
    Ok(Json(timeline))
}
