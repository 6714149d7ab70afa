//! What was sold: orders that were confirmed and not cancelled, by the day, country, customer or product.
//! An order is worth its lines and shipping less its discount; a product its lines alone.

use crate::query::{Amount, Asker, Filters, Items, Page, one_of, page};
use crate::{Layout, Place, Projection, projection};
use async_trait::async_trait;
use axum::Json;
use deadpool_postgres::Transaction;
use domain::orders::order::{self, Event, PlacedLine};
use domain::values::{Country, CustomerRef, Money};
use edge::{Params, Problem};
use event_store::Recorded;
use event_store::follow::ApplyError;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

pub(crate) struct Sales;

const LAYOUT: Layout = Layout {
    name: "sales",
    version: 1,
    service: "orders",
    logs: &["orders"],
    tables: &["sale", "sales"],
    key: ("order", "order_id"),
    create: include_str!("sales/tables.sql"),
    index: include_str!("sales/indexes.sql"),
};

/// What a batch says of one order.
#[derive(Default)]
struct Change {
    placed: Option<Placed>,
    counted: Option<bool>,
}

struct Placed {
    day: String,
    country: Country,
    customer: Option<CustomerRef>,
    total: Money,
    products: Vec<ProductSale>,
}

#[derive(Serialize)]
struct ProductSale {
    sku: String,
    units: i64,
    revenue: i64,
}

impl Change {
    fn take(&mut self, event: Event, recorded: &Recorded) {
        match event {
            Event::Placed { lines, total, customer, country, .. } => {
                let day = recorded.occurred_at.date_naive().to_string();
                let products = by_product(&lines);
                self.placed = Some(Placed { day, country, customer, total, products });
            }
            Event::Confirmed {} => self.counted = Some(true),
            Event::Cancelled { .. } => self.counted = Some(false),
            Event::Shipped { .. } | Event::Closed {} => {}
        }
    }
}

fn by_product(lines: &[PlacedLine]) -> Vec<ProductSale> {
    let mut products = BTreeMap::<&str, (i64, i64)>::new();
    for line in lines {
        let quantity = i64::from(line.quantity);
        let (units, revenue) = products.entry(line.sku.as_str()).or_default();
        *units += quantity;
        *revenue += quantity * line.unit_price.amount();
    }
    let sale = |(sku, (units, revenue)): (&str, _)| ProductSale { sku: sku.into(), units, revenue };
    products.into_iter().map(sale).collect()
}

#[async_trait]
impl Projection for Sales {
    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        for of_one in batch.chunk_by(|one, next| one.partition == next.partition) {
            post_partition(place, tx, of_one).await?;
        }
        Ok(())
    }
}

async fn post_partition(
    place: &Place,
    tx: &Transaction<'_>,
    batch: &[Arc<Recorded>],
) -> Result<(), ApplyError> {
    let Some(partition) = batch.first().map(|event| event.partition) else { return Ok(()) };
    let mut changes = BTreeMap::<Uuid, Change>::new();
    for recorded in batch {
        let order = projection::target(recorded, order::id_of)?;
        changes.entry(order.0).or_default().take(recorded.decode()?, recorded);
    }
    let mut placed = Vec::new();
    let mut changed = (Vec::new(), Vec::new());
    for (order, change) in changes {
        match (change.placed, change.counted) {
            (Some(sale), counted) => placed.push((order, sale, counted.unwrap_or(false))),
            (None, Some(counted)) => {
                changed.0.push(order);
                changed.1.push(counted);
            }
            (None, None) => {}
        }
    }
    let uncounted = changed.1.contains(&false);
    post_sales(place, tx, partition, &placed, &changed).await?;
    if uncounted {
        // As if what is gone had never been there: a replay in larger batches makes no such rows.
        place.execute(tx, include_str!("sales/clear.sql"), &[&partition]).await?;
    }
    Ok(())
}

async fn post_sales(
    place: &Place,
    tx: &Transaction<'_>,
    partition: i32,
    placed: &[(Uuid, Placed, bool)],
    (changed, counted): &(Vec<Uuid>, Vec<bool>),
) -> Result<(), ApplyError> {
    let sales = || placed.iter().map(|(_, sale, _)| sale);
    let customer = |sale: &'_ Placed| sale.customer.clone().map_or(String::new(), String::from);
    let units = |sale: &Placed| sale.products.iter().map(|it| it.units).sum::<i64>();
    let products = sales().map(|it| serde_json::to_string(&it.products));
    let products = products.collect::<Result<Vec<_>, _>>();
    let products = products.map_err(|error| ApplyError::Poison(error.to_string()))?;
    place
        .execute(
            tx,
            include_str!("sales/post.sql"),
            &[
                &partition,
                &placed.iter().map(|(order, ..)| order).collect::<Vec<_>>(),
                &sales().map(|it| &*it.day).collect::<Vec<_>>(),
                &sales().map(|it| it.country.as_str()).collect::<Vec<_>>(),
                &sales().map(customer).collect::<Vec<_>>(),
                &sales().map(|it| it.total.currency().as_str()).collect::<Vec<_>>(),
                &sales().map(units).collect::<Vec<_>>(),
                &sales().map(|it| it.total.amount()).collect::<Vec<_>>(),
                &products,
                &placed.iter().map(|(.., counted)| counted).collect::<Vec<_>>(),
                changed,
                counted,
            ],
        )
        .await?;
    Ok(())
}

/// The ways to ask, and what the key is called in the answer.
const KEYS: &[&str] = &["day", "product", "country", "customer"];

pub(crate) struct SalesView {
    by: &'static str,
    key: String,
    orders: i64,
    units: i64,
    revenue: Amount,
}

impl Serialize for SalesView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        let name = if self.by == "product" { "sku" } else { self.by };
        map.serialize_entry(name, &Some(&self.key).filter(|key| !key.is_empty()))?;
        map.serialize_entry("orders", &self.orders)?;
        map.serialize_entry("units", &self.units)?;
        map.serialize_entry("revenue", &self.revenue)?;
        map.end()
    }
}

/// `GET /v1/sales`: by the key, one item for each currency of it.
pub(crate) async fn list(asker: Asker, params: Params) -> Result<Json<Items<SalesView>>, Problem> {
    let (by, page): (&str, Page<(String, String)>) = params.read(|fields| {
        let by = one_of(fields, "by", KEYS);
        if by == Some(None) {
            fields.refuse("by", "is missing");
        }
        let page = page(fields);
        Some((by??, page?))
    })?;
    let only = Some(by);
    let mut filters = Filters::default();
    filters.and("kind = ?", &only);
    filters.and_pair("(key, currency) > (?, ?)", &page.after);
    let view = asker.view(&LAYOUT).await?;
    let rows = view.list(include_str!("sales/list.sql"), &filters, page.limit).await?;
    let sales = rows.iter().map(|row| SalesView {
        by,
        key: row.get("key"),
        orders: row.get("orders"),
        units: row.get("units"),
        revenue: Amount { amount: row.get("revenue"), currency: row.get("currency") },
    });
    Ok(page.items(sales.collect(), |sale| (sale.key.clone(), sale.revenue.currency.clone())))
}
