//! `GET /sandbox/book[?order=]`: what the provider did, per order and in total, to be held against
//! Daybook's own log. Orders are the intents' `metadata[order]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::fault::Fault;
use super::ledger::{Intent, Ledger, Stage};
use super::params::Params;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub orders: Vec<OrderEntry>,
    /// By currency, in capitals.
    pub totals: BTreeMap<String, Sums>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderEntry {
    pub order: String,
    pub currency: String,
    #[serde(flatten)]
    pub sums: Sums,
}

/// Amounts in minor units; `authorised` = `held` + `captured` + `released`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// How many times money was held or taken: more than one for an order is a double charge.
    pub charges: u64,
    pub declines: u64,
    pub authorised: i64,
    pub held: i64,
    pub captured: i64,
    /// Held once and let go: by a cancellation, or as the rest of a capture in part.
    pub released: i64,
    pub refunded: i64,
}

impl Sums {
    fn count(&mut self, intent: &Intent) {
        let (held, captured, released, refunded) = match intent.stage {
            Stage::Declined | Stage::Cancelled { held: false, .. } => {
                self.declines += 1;
                return;
            }
            Stage::Held => (intent.amount, 0, 0, 0),
            Stage::Captured { amount, refunded } => (0, amount, intent.amount - amount, refunded),
            Stage::Cancelled { held: true, .. } => (0, 0, intent.amount, 0),
        };
        self.charges += 1;
        self.authorised += intent.amount;
        self.held += held;
        self.captured += captured;
        self.released += released;
        self.refunded += refunded;
    }
}

pub(super) async fn report(
    State(sandbox): State<Arc<Sandbox>>,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let report = sandbox.book.read(|ledger| match params.text("order") {
        Some(order) => sum(ledger.of_order(order)),
        None => whole(ledger),
    });
    match sandbox.book.settled().await {
        Ok(()) => Json(report).into_response(),
        Err(_) => Fault::internal().into_response(),
    }
}

fn whole(ledger: &Ledger) -> Report {
    sum(ledger.intents.iter())
}

fn sum<'a>(intents: impl Iterator<Item = &'a Intent>) -> Report {
    let mut orders: BTreeMap<(String, String), Sums> = BTreeMap::new();
    let mut totals: BTreeMap<String, Sums> = BTreeMap::new();
    for intent in intents {
        let currency = intent.currency.to_uppercase();
        let order = intent.metadata.get("order").cloned().unwrap_or_default();
        orders.entry((order, currency.clone())).or_default().count(intent);
        totals.entry(currency).or_default().count(intent);
    }
    let orders = orders
        .into_iter()
        .map(|((order, currency), sums)| OrderEntry { order, currency, sums })
        .collect();
    Report { orders, totals }
}
