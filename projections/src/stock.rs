//! How many pieces are on hand, and how many of them are held for orders.

use crate::query::{Asker, Filters, Page, Sorted, as_of, page, with_version};
use crate::{Layout, Place, Projection, projection};
use async_trait::async_trait;
use axum::response::Response;
use deadpool_postgres::Transaction;
use domain::inventory::stock::{self, Event};
use domain::values::Sku;
use edge::{ParamFields, Params, Problem, Target};
use event_store::Recorded;
use event_store::follow::ApplyError;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_postgres::Row;

pub(crate) struct Stocks;

const LAYOUT: Layout = Layout {
    name: "stock",
    version: if cfg!(feature = "next") { 2 } else { 1 },
    service: "inventory",
    logs: &["inventory"],
    tables: &["stock"],
    key: ("stock", "sku"),
    of_others: &[],
    create: TABLES,
    index: include_str!("stock/indexes.sql"),
};

#[cfg(not(feature = "next"))]
const TABLES: &str = include_str!("stock/tables.sql");
#[cfg(feature = "next")]
const TABLES: &str = include_str!("stock/next.sql");

/// By how much a batch changes the stock of a SKU.
#[derive(Default)]
struct Change {
    on_hand: i64,
    reserved: i64,
    version: i64,
}

impl Change {
    fn take(&mut self, event: &Event, version: i64) {
        self.version = version;
        match event {
            Event::Received { quantity } => self.on_hand += i64::from(*quantity),
            Event::Adjusted { change, reason: _ } => self.on_hand += i64::from(*change),
            Event::Reserved { order: _, quantity } => self.reserved += i64::from(*quantity),
            Event::ReservationRefused { .. } => {}
            Event::Released { order: _, quantity } => self.reserved -= i64::from(*quantity),
            Event::Shipped { order: _, quantity } => {
                self.on_hand -= i64::from(*quantity);
                self.reserved -= i64::from(*quantity);
            }
        }
    }
}

#[async_trait]
impl Projection for Stocks {
    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        let mut changes = BTreeMap::<Sku, Change>::new();
        for recorded in batch {
            let sku = projection::target(recorded, stock::id_of)?;
            changes.entry(sku).or_default().take(&recorded.decode()?, recorded.version);
        }
        let changed = |of: fn(&Change) -> i64| changes.values().map(of).collect::<Vec<_>>();
        let sql = include_str!("stock/post.sql");
        let skus: Vec<&str> = changes.keys().map(Sku::as_str).collect();
        let (on_hand, reserved) = (changed(|it| it.on_hand), changed(|it| it.reserved));
        let version = changed(|it| it.version);
        place.execute(tx, sql, &[&skus, &on_hand, &reserved, &version]).await?;
        Ok(())
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StockLevel")]
pub(crate) struct Level {
    sku: String,
    on_hand: i64,
    reserved: i64,
    available: i64,
    version: i64,
}

impl Level {
    fn of(row: &Row) -> Self {
        Level {
            sku: row.get("sku"),
            on_hand: row.get("on_hand"),
            reserved: row.get("reserved"),
            available: row.get("available"),
            version: row.get("version"),
        }
    }
}

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<(Option<i64>, Page<String>)> {
    let available_below = fields.optional("available_below");
    let page = page(fields);
    Some((available_below?, page?))
}

/// `GET /v1/stock`: by SKU.
pub(crate) async fn list(asker: Asker, params: Params) -> Result<Response, Problem> {
    let (available_below, page) = params.read(asked)?;
    let mut filters = Filters::default();
    filters.and("available < ?", &available_below);
    filters.from(&page, &Sorted::Up("sku"));
    let view = asker.view(&LAYOUT).await?;
    let rows = view.list(include_str!("stock/list.sql"), &filters, page.limit).await?;
    Ok(page.items(rows.iter().map(Level::of).collect(), |level| level.sku.clone()))
}

/// `GET /v1/stock/{sku}`
pub(crate) async fn find(
    asker: Asker,
    Target(sku): Target<Sku>,
    params: Params,
) -> Result<Response, Problem> {
    let as_of = params.read(as_of)?;
    let sql = include_str!("stock/list.sql");
    let only = Some(sku.as_str());
    let mut filters = Filters::default();
    filters.and("sku = ?", &only);
    let answer = |row: Option<&Row>| {
        let none = || Problem::not_found(format!("There never was stock of {sku}."));
        let level = Level::of(row.ok_or_else(none)?);
        Ok::<_, Problem>(with_version(level.version, level))
    };
    let streams = [("inventory", stock::stream(&sku))];
    asker.one(&Stocks, (&streams, as_of), (sql, &filters), answer).await
}
