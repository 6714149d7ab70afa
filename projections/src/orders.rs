//! Orders as people look for them, with how far payment and shipment have come.

use crate::query::{
    Amount, Asker, Filters, Instant, Page, Seen, Sorted, StreamAhead, as_of, failed, page,
    with_version,
};
use crate::{Layout, Place, Projection, payments, projection};
use async_trait::async_trait;
use axum::response::Response;
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use domain::ids::{OrderId, OrderNumber};
use domain::orders::order::{self, Event, PlacedLine, ShippedLine};
use domain::payments::payment;
use domain::values::{Country, CustomerRef, Money};
use edge::{OnlyOf, ParamFields, Params, Problem, Target};
use event_store::follow::ApplyError;
use event_store::{DecodeError, Position, Recorded, StoreError};
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::Row;
use uuid::Uuid;

pub(crate) struct Orders;

const LAYOUT: Layout = Layout {
    name: "orders",
    version: 2,
    service: "orders",
    logs: &["orders", "payments"],
    tables: &["order"],
    key: ("order", "order_id"),
    of_others: &[("payment_status", "payment")],
    create: include_str!("orders/tables.sql"),
    index: include_str!("orders/indexes.sql"),
};

const STATUSES: &[&str] = &["placed", "confirmed", "shipped", "closed", "cancelled"];
const FULFILMENT_STATUSES: &[&str] = &["unfulfilled", "partially-fulfilled", "fulfilled"];

/// What a batch says of one order.
#[derive(Default)]
struct Change {
    status: &'static str,
    cancel_reason: Option<&'static str>,
    placed: Option<Placed>,
    shipments: String,
    shipped_units: i64,
    version: i64,
}

struct Placed {
    lines: Box<RawValue>,
    units: i64,
    shipping: Money,
    discount: Money,
    total: Money,
    customer: Option<CustomerRef>,
    country: Country,
    at: DateTime<Utc>,
}

/// The lines as they are stored, which is how the view keeps them: written anew they would be the same.
#[derive(Deserialize)]
struct Lines {
    lines: Box<RawValue>,
}

impl Change {
    fn take(&mut self, recorded: &Recorded) -> Result<(), DecodeError> {
        self.version = recorded.version;
        self.status = match recorded.decode()? {
            Event::Placed {
                order: _,
                lines,
                shipping,
                discount,
                total,
                customer,
                country,
                payment_method: _,
            } => {
                let units = lines.iter().map(|line| i64::from(line.quantity)).sum();
                let Lines { lines } = recorded.fields::<Event, Lines>()?;
                let at = recorded.occurred_at;
                self.placed =
                    Some(Placed { lines, units, shipping, discount, total, customer, country, at });
                "placed"
            }
            Event::Confirmed {} => "confirmed",
            Event::Cancelled { reason } => {
                self.cancel_reason = Some(reason.as_str());
                "cancelled"
            }
            Event::Shipped { lines } => {
                for ShippedLine { line, quantity } in lines {
                    self.shipments += &format!("{line}:{quantity} ");
                    self.shipped_units += i64::from(quantity);
                }
                "shipped"
            }
            Event::Closed {} => "closed",
        };
        Ok(())
    }
}

#[async_trait]
impl Projection for Orders {
    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        match batch.first().map(|event| &*event.service) {
            None => Ok(()),
            Some("orders") => post_orders(place, tx, batch).await,
            Some("payments") => post_payments(place, tx, batch).await,
            Some(_) => Err(projection::strange(&batch[0])),
        }
    }
}

async fn post_orders(
    place: &Place,
    tx: &Transaction<'_>,
    batch: &[Arc<Recorded>],
) -> Result<(), ApplyError> {
    let mut changes = BTreeMap::<Uuid, Change>::new();
    for recorded in batch {
        let order = projection::target(recorded, order::id_of)?;
        changes.entry(order.0).or_default().take(recorded)?;
    }
    let changed = || changes.values();
    let placed = || changed().map(|change| change.placed.as_ref());
    let amount = |of: fn(&Placed) -> i64| placed().map(|it| it.map(of)).collect::<Vec<_>>();
    place
        .execute(
            tx,
            include_str!("orders/post_orders.sql"),
            &[
                &changes.keys().collect::<Vec<_>>(),
                &changed().map(|it| it.status).collect::<Vec<_>>(),
                &changed().map(|it| it.cancel_reason).collect::<Vec<_>>(),
                &placed()
                    .map(|it| it?.customer.as_ref().map(CustomerRef::as_str))
                    .collect::<Vec<_>>(),
                &placed().map(|it| it.map(|it| it.country.as_str())).collect::<Vec<_>>(),
                &placed().map(|it| it.map(|it| it.total.currency().as_str())).collect::<Vec<_>>(),
                &amount(|it| it.shipping.amount()),
                &amount(|it| it.discount.amount()),
                &amount(|it| it.total.amount()),
                &placed().map(|it| it.map(|it| it.lines.get())).collect::<Vec<_>>(),
                &changed().map(|it| &*it.shipments).collect::<Vec<_>>(),
                &amount(|it| it.units),
                &changed().map(|it| it.shipped_units).collect::<Vec<_>>(),
                &placed().map(|it| it.map(|it| it.at)).collect::<Vec<_>>(),
                &changed().map(|it| it.version).collect::<Vec<_>>(),
            ],
        )
        .await?;
    Ok(())
}

async fn post_payments(
    place: &Place,
    tx: &Transaction<'_>,
    batch: &[Arc<Recorded>],
) -> Result<(), ApplyError> {
    let mut statuses = BTreeMap::<Uuid, &str>::new();
    for recorded in batch {
        statuses.extend(paid(recorded)?);
    }
    let (orders, statuses): (Vec<_>, Vec<_>) = statuses.into_iter().unzip();
    place.execute(tx, include_str!("orders/post_payments.sql"), &[&orders, &statuses]).await?;
    Ok(())
}

/// How far the payment of an order has come with an event, if that says so.
pub(crate) fn paid(recorded: &Recorded) -> Result<Option<(Uuid, &'static str)>, ApplyError> {
    let order = projection::target(recorded, payment::id_of)?;
    Ok(payments::status_after(&recorded.decode()?).map(|status| (order.0, status)))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Order")]
pub(crate) struct OrderView {
    order: Uuid,
    number: OrderNumber,
    #[schemars(extend("enum" = STATUSES))]
    status: String,
    #[schemars(extend("enum" = payments::STATUSES))]
    payment_status: String,
    #[schemars(extend("enum" = FULFILMENT_STATUSES))]
    fulfilment_status: String,
    cancel_reason: Option<String>,
    customer: Option<String>,
    country: String,
    lines: Vec<LineView>,
    shipping: Amount,
    discount: Amount,
    total: Amount,
    placed_at: DateTime<Utc>,
    version: i64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderLine")]
struct LineView {
    #[serde(flatten)]
    line: PlacedLine,
    shipped: i64,
}

impl OrderView {
    fn of(row: &Row) -> Result<Self, Problem> {
        let order: Uuid = row.get("order_id");
        let currency: String = row.get("currency");
        let amount = |name| Amount { amount: row.get(name), currency: currency.clone() };
        Ok(OrderView {
            order,
            number: OrderId(order).number(),
            status: row.get("status"),
            payment_status: row.get("payment_status"),
            fulfilment_status: row.get("fulfilment_status"),
            cancel_reason: row.get("cancel_reason"),
            customer: row.get("customer"),
            country: row.get("country"),
            lines: lines(row.get("lines"), row.get("shipments")).map_err(Problem::internal)?,
            shipping: amount("shipping"),
            discount: amount("discount"),
            total: amount("total"),
            placed_at: row.get("placed_at"),
            version: row.get("version"),
        })
    }
}

fn lines(lines: &str, shipments: &str) -> Result<Vec<LineView>, serde_json::Error> {
    let lines: Vec<PlacedLine> = serde_json::from_str(lines)?;
    let mut shipped = BTreeMap::<u32, i64>::new();
    for (line, quantity) in shipments.split_whitespace().filter_map(|it| it.split_once(':')) {
        if let (Ok(line), Ok(quantity)) = (line.parse(), quantity.parse::<i64>()) {
            *shipped.entry(line).or_default() += quantity;
        }
    }
    let view = |line: PlacedLine| LineView {
        shipped: shipped.get(&line.line.get()).copied().unwrap_or(0),
        line,
    };
    Ok(lines.into_iter().map(view).collect())
}

type Key = (Instant, Uuid);

pub(crate) struct Asked {
    status: Option<&'static str>,
    payment_status: Option<&'static str>,
    fulfilment_status: Option<&'static str>,
    customer: Option<CustomerRef>,
    placed_from: Option<Instant>,
    placed_to: Option<Instant>,
    page: Page<Key>,
}

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<Asked> {
    let status = fields.one_of("status", STATUSES);
    let payment_status = fields.one_of("payment_status", payments::STATUSES);
    let fulfilment_status = fields.one_of("fulfilment_status", FULFILMENT_STATUSES);
    let customer = fields.optional("customer");
    let placed_from = fields.optional("placed_from");
    let placed_to = fields.optional("placed_to");
    let page = page(fields);
    Some(Asked {
        status: status?,
        payment_status: payment_status?,
        fulfilment_status: fulfilment_status?,
        customer: customer?,
        placed_from: placed_from?,
        placed_to: placed_to?,
        page: page?,
    })
}

/// `GET /v1/orders`: the latest first. `placed_from` is inclusive, `placed_to` is not. A customer sees his own.
pub(crate) async fn list(
    asker: Asker,
    OnlyOf(only): OnlyOf,
    params: Params,
) -> Result<Response, Problem> {
    let asked = params.read(asked)?;
    let customer = asked.customer.as_ref().map(CustomerRef::as_str);
    let only = only.as_deref();
    let mut filters = Filters::default();
    filters.and("customer = ?", &only);
    filters.and("status = ?", &asked.status);
    filters.and("payment_status = ?", &asked.payment_status);
    filters.and("fulfilment_status = ?", &asked.fulfilment_status);
    filters.and("customer = ?", &customer);
    filters.and("placed_at >= ?", &asked.placed_from);
    filters.and("placed_at < ?", &asked.placed_to);
    filters.from(&asked.page, &Sorted::Down("placed_at, order_id"));
    let view = asker.view(&LAYOUT).await?;
    let rows = view.list(include_str!("orders/list.sql"), &filters, asked.page.limit).await?;
    let orders = rows.iter().map(OrderView::of).collect::<Result<Vec<_>, _>>()?;
    Ok(asked.page.items(orders, |order| (Instant(order.placed_at), order.order)))
}

/// `GET /v1/orders/{id}`
pub(crate) async fn find(
    asker: Asker,
    Target(order): Target<OrderId>,
    params: Params,
) -> Result<Response, Problem> {
    let as_of = params.read(as_of)?;
    let sql = include_str!("orders/list.sql");
    let only = Some(order.0);
    let mut filters = Filters::default();
    filters.and("order_id = ?", &only);
    let answer = |row: Option<&Row>| {
        let none = || Problem::not_found(format!("There is no order {order}."));
        let order = OrderView::of(row.ok_or_else(none)?)?;
        Ok::<_, Problem>(with_version(order.version, order))
    };
    let streams = [("orders", order::stream(order)), ("payments", payment::stream(order))];
    let patience = asker.patience().filter(|_| as_of.is_none());
    let Some(patience) = patience else {
        return asker.one(&Orders, (&streams, as_of), (sql, &filters), answer).await;
    };
    // Where too many wait already, he is told how it is now: it is no more than a preference.
    let place = asker.listens();
    let patience = if place.is_some() { patience } else { Duration::ZERO };
    let settled = asker.staying(timeout(patience, settled(&asker, order))).await?;
    drop(place);
    let asker = match settled.ok().transpose().map_err(failed)?.flatten() {
        Some(position) => asker.having_seen(position),
        None => asker,
    };
    let mut response = asker.one(&Orders, (&streams, None), (sql, &filters), answer).await?;
    let applied = HeaderValue::try_from(format!("wait={}", patience.as_secs()));
    if let Ok(applied) = applied {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Waits until an order is confirmed or cancelled; gives where that stands. None if there is no such order.
async fn settled(asker: &Asker, order: OrderId) -> Result<Option<Position>, StoreError> {
    let stream = order::stream(order);
    let Some(log) = asker.log("orders") else { return Ok(None) };
    if log.read_stream(&stream, 0, 1).await?.is_empty() {
        return Ok(None);
    }
    let Some(mut ahead) = StreamAhead::new(asker, "orders", stream, Seen::START) else {
        return Ok(None);
    };
    loop {
        for event in ahead.events().await? {
            if matches!(&*event.event_type, "order.confirmed" | "order.cancelled") {
                return Ok(Some(event.position()));
            }
        }
    }
}
