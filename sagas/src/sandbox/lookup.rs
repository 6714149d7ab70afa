//! The requests that change nothing: an intent, a search by metadata, lists.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Sandbox;
use super::fault::Fault;
use super::ledger::Ledger;
use super::params::Params;

/// Stripe's page when nothing is asked for, and its largest.
const PAGE: usize = 10;
const LARGEST_PAGE: usize = 100;

type Shared = State<Arc<Sandbox>>;

pub(super) async fn intent(State(sandbox): Shared, Path(id): Path<String>) -> Response {
    told(&sandbox, |ledger| match ledger.intent(&id) {
        Some(intent) => Ok(intent.json()),
        None => Err(Fault::missing("payment_intent", &id, "intent", StatusCode::NOT_FOUND)),
    })
    .await
}

/// `?query=metadata['order']:'…' AND metadata['attempt']:'1'`. Stripe's search lags by up to an hour;
/// this one does not.
pub(super) async fn search(State(sandbox): Shared, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    told(&sandbox, |ledger| {
        params.only(&["query", "limit"])?;
        let clauses = clauses(params.required("query")?)?;
        let order = clauses.iter().find(|(name, _)| *name == "order").map(|(_, value)| *value);
        let candidates: Box<dyn Iterator<Item = _>> = match order {
            Some(order) => Box::new(ledger.of_order(order)),
            None => Box::new(ledger.intents.iter()),
        };
        let matching = candidates.filter(|intent| {
            clauses
                .iter()
                .all(|(name, value)| intent.metadata.get(*name).is_some_and(|has| has == value))
        });
        let (data, more) = page(matching.map(|intent| intent.json()), &params)?;
        Ok(json!({
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "data": data,
            "has_more": more,
            "next_page": null,
        }))
    })
    .await
}

/// The latest first, as at Stripe.
pub(super) async fn intents(State(sandbox): Shared, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    told(&sandbox, |ledger| {
        params.only(&["limit"])?;
        let (data, more) = page(ledger.intents.iter().rev().map(|intent| intent.json()), &params)?;
        Ok(list("/v1/payment_intents", data, more))
    })
    .await
}

pub(super) async fn refunds(State(sandbox): Shared, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    told(&sandbox, |ledger| {
        params.only(&["limit", "payment_intent"])?;
        let (data, more) = match params.text("payment_intent") {
            Some(intent) => {
                page(ledger.refunds_of(intent).rev().map(|refund| refund.json()), &params)?
            }
            None => page(ledger.refunds.iter().rev().map(|refund| refund.json()), &params)?,
        };
        Ok(list("/v1/refunds", data, more))
    })
    .await
}

pub(super) async fn nowhere(uri: Uri) -> Response {
    Fault::missing("endpoint", uri.path(), "url", StatusCode::NOT_FOUND).into_response()
}

/// Nobody is shown what a power cut could still undo.
async fn told(sandbox: &Sandbox, look: impl FnOnce(&Ledger) -> Result<Value, Fault>) -> Response {
    let seen = sandbox.book.read(look);
    if sandbox.book.settled().await.is_err() {
        return Fault::internal().into_response();
    }
    match seen {
        Ok(body) => Json(body).into_response(),
        Err(fault) => fault.into_response(),
    }
}

fn list(url: &str, data: Vec<Value>, more: bool) -> Value {
    json!({"object": "list", "url": url, "data": data, "has_more": more})
}

fn page(
    mut items: impl Iterator<Item = Value>,
    params: &Params,
) -> Result<(Vec<Value>, bool), Fault> {
    let limit = match params.text("limit").map(str::parse) {
        None => PAGE,
        Some(Ok(limit @ 1..=LARGEST_PAGE)) => limit,
        Some(Ok(_) | Err(_)) => {
            return Err(Fault::parameter("parameter_invalid_integer", "limit", "is not 1 to 100"));
        }
    };
    let data: Vec<Value> = items.by_ref().take(limit).collect();
    Ok((data, items.next().is_some()))
}

/// `metadata['name']:'value'`, joined by AND: the part of Stripe's query language that is spoken here.
fn clauses(query: &str) -> Result<Vec<(&str, &str)>, Fault> {
    let clause = |text| {
        let text = str::trim(text).strip_prefix("metadata['")?.strip_suffix('\'')?;
        text.split_once("']:'")
    };
    let clauses: Option<Vec<_>> = query.split(" AND ").map(clause).collect();
    clauses.ok_or_else(|| {
        let what = "is not metadata['name']:'value', joined by AND, which is all the sandbox knows";
        Fault::parameter("parameter_invalid", "query", what)
    })
}
