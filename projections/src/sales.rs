//! What was sold: orders that were confirmed and not cancelled, by the day, country, customer or product.
//! An order is worth its lines and shipping less its discount; a product its lines alone.

use crate::query::{Amount, Asker, Filters, Page, Sorted, page};
use crate::{Layout, Place, Projection, projection};
use async_trait::async_trait;
use axum::response::Response;
use deadpool_postgres::Transaction;
use domain::orders::order::{self, Event, PlacedLine};
use edge::{ParamFields, Params, Problem};
use event_store::Recorded;
use event_store::follow::ApplyError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_postgres::Row;
use uuid::Uuid;

pub(crate) struct Sales;

const LAYOUT: Layout = Layout {
    name: "sales",
    version: 1,
    service: "orders",
    logs: &["orders"],
    tables: &["sale", "sales"],
    key: ("order", "order_id"),
    of_others: &[],
    create: include_str!("sales/tables.sql"),
    index: include_str!("sales/indexes.sql"),
};

/// What a batch says of one order.
#[derive(Default)]
struct Change {
    placed: Option<Sale>,
    counted: Option<bool>,
}

/// What an order is worth, whether it counts or not.
struct Sale {
    day: String,
    country: String,
    /// Empty: none.
    customer: String,
    currency: String,
    units: i64,
    revenue: i64,
    products: Vec<ProductSale>,
}

#[derive(Serialize, Deserialize)]
struct ProductSale {
    sku: String,
    units: i64,
    revenue: i64,
}

impl Change {
    fn take(&mut self, event: Event, recorded: &Recorded) {
        match event {
            Event::Placed { lines, total, customer, country, .. } => {
                let products = by_product(&lines);
                self.placed = Some(Sale {
                    day: recorded.occurred_at.date_naive().to_string(),
                    country: country.as_str().to_owned(),
                    customer: customer.map_or(String::new(), String::from),
                    currency: total.currency().as_str().to_owned(),
                    units: products.iter().map(|it| it.units).sum(),
                    revenue: total.amount(),
                    products,
                });
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

    /// Every order changes the sums of its products, of which a partition has no more than the shop.
    fn filled_at_once(&self) -> i64 {
        8_000
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
    add_sales(place, tx, partition, &placed).await?;
    let moved = count(place, tx, &changed).await?;
    let placed = placed.iter().filter(|(.., counted)| *counted).map(|(_, sale, _)| (1, sale));
    let moved = moved.iter().map(|(sign, sale)| (*sign, sale));
    add_sums(place, tx, partition, Sums::of(placed.chain(moved))).await?;
    if uncounted {
        // As if what is gone had never been there: a replay in larger batches makes no such rows.
        place.execute(tx, include_str!("sales/clear.sql"), &[&partition]).await?;
    }
    Ok(())
}

async fn add_sales(
    place: &Place,
    tx: &Transaction<'_>,
    partition: i32,
    placed: &[(Uuid, Sale, bool)],
) -> Result<(), ApplyError> {
    if placed.is_empty() {
        return Ok(());
    }
    let text = |of: fn(&Sale) -> &str| placed.iter().map(|(_, it, _)| of(it)).collect::<Vec<_>>();
    let number = |of: fn(&Sale) -> i64| placed.iter().map(|(_, it, _)| of(it)).collect::<Vec<_>>();
    let products = placed.iter().map(|(_, it, _)| serde_json::to_string(&it.products));
    let products = products.collect::<Result<Vec<_>, _>>();
    let products = products.map_err(|error| ApplyError::Poison(error.to_string()))?;
    place
        .execute(
            tx,
            include_str!("sales/add_sales.sql"),
            &[
                &partition,
                &placed.iter().map(|(order, ..)| order).collect::<Vec<_>>(),
                &text(|it| &it.day),
                &text(|it| &it.country),
                &text(|it| &it.customer),
                &text(|it| &it.currency),
                &number(|it| it.units),
                &number(|it| it.revenue),
                &products,
                &placed.iter().map(|(.., counted)| counted).collect::<Vec<_>>(),
            ],
        )
        .await?;
    Ok(())
}

/// Notes which orders count now, of those that were placed before; gives what changed by that, added or taken away.
async fn count(
    place: &Place,
    tx: &Transaction<'_>,
    (orders, counted): &(Vec<Uuid>, Vec<bool>),
) -> Result<Vec<(i64, Sale)>, ApplyError> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let statement = tx.prepare_cached(&place.sql(include_str!("sales/count.sql"))).await?;
    let rows = tx.query(&statement, &[orders, counted]).await?;
    let moved = |row: &Row| {
        let products = serde_json::from_str(row.get("products"));
        let sale = Sale {
            day: row.get("day"),
            country: row.get("country"),
            customer: row.get("customer"),
            currency: row.get("currency"),
            units: row.get("units"),
            revenue: row.get("revenue"),
            products: products.map_err(|error| ApplyError::Broken(error.to_string()))?,
        };
        Ok((if row.get("counted") { 1 } else { -1 }, sale))
    };
    rows.iter().map(moved).collect()
}

/// What is added to the sums, by kind, key and currency: in the order of the table's key.
#[derive(Default)]
struct Sums<'a>(BTreeMap<(&'static str, &'a str, &'a str), Sum>);

#[derive(Default)]
struct Sum {
    orders: i64,
    units: i64,
    revenue: i64,
}

impl<'a> Sums<'a> {
    fn of(moved: impl Iterator<Item = (i64, &'a Sale)>) -> Self {
        let mut sums = Sums::default();
        for (sign, sale) in moved {
            for (kind, key) in
                [("day", &sale.day), ("country", &sale.country), ("customer", &sale.customer)]
            {
                sums.add((kind, key, &sale.currency), sign, (sale.units, sale.revenue));
            }
            for product in &sale.products {
                let worth = (product.units, product.revenue);
                sums.add(("product", &product.sku, &sale.currency), sign, worth);
            }
        }
        sums
    }

    fn add(
        &mut self,
        key: (&'static str, &'a str, &'a str),
        sign: i64,
        (units, revenue): (i64, i64),
    ) {
        let sum = self.0.entry(key).or_default();
        sum.orders += sign;
        sum.units += sign * units;
        sum.revenue += sign * revenue;
    }
}

async fn add_sums(
    place: &Place,
    tx: &Transaction<'_>,
    partition: i32,
    Sums(sums): Sums<'_>,
) -> Result<(), ApplyError> {
    if sums.is_empty() {
        return Ok(());
    }
    let number = |of: fn(&Sum) -> i64| sums.values().map(of).collect::<Vec<_>>();
    place
        .execute(
            tx,
            include_str!("sales/add_sums.sql"),
            &[
                &partition,
                &sums.keys().map(|(kind, ..)| *kind).collect::<Vec<_>>(),
                &sums.keys().map(|(_, key, _)| *key).collect::<Vec<_>>(),
                &sums.keys().map(|(.., currency)| *currency).collect::<Vec<_>>(),
                &number(|it| it.orders),
                &number(|it| it.units),
                &number(|it| it.revenue),
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

/// One of the four keys is there, by which was asked for.
impl JsonSchema for SalesView {
    fn schema_name() -> Cow<'static, str> {
        "Sales".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let key = || json_schema!({ "type": ["string", "null"] });
        json_schema!({
            "type": "object",
            "properties": {
                "day": key(),
                "sku": key(),
                "country": key(),
                "customer": key(),
                "orders": generator.subschema_for::<i64>(),
                "units": generator.subschema_for::<i64>(),
                "revenue": generator.subschema_for::<Amount>(),
            },
            "required": ["orders", "units", "revenue"],
        })
    }
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

pub(crate) fn asked(
    fields: &mut ParamFields<'_>,
) -> Option<(&'static str, Page<(String, String)>)> {
    let (by, page) = (fields.required_one_of("by", KEYS), page(fields));
    Some((by?, page?))
}

/// `GET /v1/sales`: by the key, one item for each currency of it.
pub(crate) async fn list(asker: Asker, params: Params) -> Result<Response, Problem> {
    let (by, page) = params.read(asked)?;
    let only = Some(by);
    let mut filters = Filters::default();
    filters.and("kind = ?", &only);
    filters.from(&page, &Sorted::Up("key, currency"));
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
