//! What happened to an order, event by event.

use crate::query::{
    Ahead, AsOf, Asker, Filters, Page, Seen, Sorted, StreamAhead, failed, lost_what_was_seen, page,
    sent,
};
use crate::{Layout, Place, Projection, projection};
use async_trait::async_trait;
use axum::response::Response;
use axum::response::sse::Event;
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use domain::ids::OrderId;
use domain::orders::order;
use edge::{ParamFields, Params, Problem, Target};
use event_store::follow::ApplyError;
use event_store::{Recorded, StoreError, current};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use std::pin::pin;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use uuid::Uuid;

pub(crate) struct OrderHistory;

const LAYOUT: Layout = Layout {
    name: "order-history",
    version: 2,
    service: "orders",
    logs: &["orders"],
    tables: &["order_event"],
    key: ("order", "order_id"),
    of_others: &[],
    create: include_str!("order_history/tables.sql"),
    index: "",
};

#[async_trait]
impl Projection for OrderHistory {
    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    /// Events are only ever added, so the order of keys does not matter. They are kept as they are stored, so
    /// that a rebuild by a newer binary finds the same rows, and upcast when they are shown.
    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        let orders = orders(batch)?;
        let events = || batch.iter();
        let sql = include_str!("order_history/post.sql");
        place
            .execute(
                tx,
                sql,
                &[
                    &orders,
                    &events().map(|it| it.version).collect::<Vec<_>>(),
                    &events().map(|it| it.event_id).collect::<Vec<_>>(),
                    &events().map(|it| &*it.event_type).collect::<Vec<_>>(),
                    &events().map(|it| it.schema_version).collect::<Vec<_>>(),
                    &events().map(|it| &*it.payload).collect::<Vec<_>>(),
                    &events().map(|it| &*it.metadata.correlation).collect::<Vec<_>>(),
                    &events().map(|it| it.metadata.causation).collect::<Vec<_>>(),
                    &events().map(|it| &*it.metadata.actor).collect::<Vec<_>>(),
                    &events().map(|it| it.occurred_at).collect::<Vec<_>>(),
                    &events().map(|it| it.recorded_at).collect::<Vec<_>>(),
                ],
            )
            .await?;
        Ok(())
    }

    async fn fill(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        let orders = orders(batch)?;
        let copy = tx.copy_in(&place.sql(include_str!("order_history/copy.sql"))).await?;
        let mut rows = pin!(BinaryCopyInWriter::new(copy, &COLUMNS));
        for (order, it) in orders.iter().zip(batch) {
            rows.as_mut()
                .write(&[
                    order,
                    &it.version,
                    &it.event_id,
                    &it.event_type,
                    &it.schema_version,
                    &it.payload,
                    &it.metadata.correlation,
                    &it.metadata.causation,
                    &it.metadata.actor,
                    &it.occurred_at,
                    &it.recorded_at,
                ])
                .await?;
        }
        rows.finish().await?;
        Ok(())
    }
}

/// The types of the columns that are copied.
const COLUMNS: [Type; 11] = [
    Type::UUID,
    Type::INT8,
    Type::UUID,
    Type::TEXT,
    Type::INT4,
    Type::TEXT,
    Type::TEXT,
    Type::UUID,
    Type::TEXT,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
];

/// The orders of events that this binary can read.
fn orders(batch: &[Arc<Recorded>]) -> Result<Vec<Uuid>, ApplyError> {
    let order = |event: &Arc<Recorded>| {
        current::<order::Event>(&event.event_type, event.schema_version, &event.payload)?;
        Ok(projection::target(event, order::id_of)?.0)
    };
    batch.iter().map(order).collect()
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderEvent")]
pub(crate) struct Entry {
    version: i64,
    id: Uuid,
    #[serde(rename = "type")]
    event_type: String,
    /// Of the payload as it is shown.
    schema: i32,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    payload: Box<RawValue>,
    correlation: String,
    causation: Option<Uuid>,
    actor: String,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
}

impl Entry {
    /// What [`of`](Self::of) gives of the same event once it is posted.
    fn of_event(event: Recorded) -> Result<Self, serde_json::Error> {
        let (stored, payload) = (event.schema_version, &*event.payload);
        let (schema, payload) = current::<order::Event>(&event.event_type, stored, payload)
            .unwrap_or((stored, payload.into()));
        Ok(Entry {
            version: event.version,
            id: event.event_id,
            schema,
            payload: RawValue::from_string(payload.into())?,
            event_type: event.event_type,
            correlation: event.metadata.correlation,
            causation: event.metadata.causation,
            actor: event.metadata.actor,
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
        })
    }

    fn of(row: &Row) -> Result<Self, Problem> {
        let (event_type, stored, payload) =
            (row.get("type"), row.get("schema_version"), row.get("payload"));
        // Where a newer binary posts, this one shows what it cannot read as it is stored.
        let (schema, payload) = current::<order::Event>(event_type, stored, payload)
            .unwrap_or((stored, payload.into()));
        Ok(Entry {
            version: row.get("version"),
            id: row.get("event_id"),
            event_type: event_type.to_owned(),
            schema,
            payload: RawValue::from_string(payload.into()).map_err(Problem::internal)?,
            correlation: row.get("correlation"),
            causation: row.get("causation"),
            actor: row.get("actor"),
            occurred_at: row.get("occurred_at"),
            recorded_at: row.get("recorded_at"),
        })
    }
}

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<(Option<AsOf>, Page<i64>)> {
    let as_of = fields.optional("as_of");
    let page = page(fields);
    Some((as_of?, page?))
}

/// `GET /v1/orders/{id}/history`: from the first event on.
pub(crate) async fn list(
    asker: Asker,
    Target(order): Target<OrderId>,
    params: Params,
) -> Result<Response, Problem> {
    let (as_of, page) = params.read(asked)?;
    if let (Some(last), None) = (asker.events(), as_of) {
        let after = page.after().copied().unwrap_or(0);
        return live(&asker, order, last.unwrap_or(Seen { epoch: None, number: after })).await;
    }
    let sql = include_str!("order_history/list.sql");
    let only = Some(order.0);
    let mut filters = Filters::default();
    filters.and("order_id = ?", &only);
    filters.from(&page, &Sorted::Up("version"));
    let answer = |rows: &[Row]| {
        if rows.is_empty() && page.is_first() {
            return Err(Problem::not_found(format!("There is no order {order}.")));
        }
        let entries = rows.iter().map(Entry::of).collect::<Result<Vec<_>, _>>()?;
        Ok(page.items(entries, |entry| entry.version))
    };
    if let Some(as_of) = as_of {
        let streams = [("orders", order::stream(order))];
        let sql = format!("{sql} limit {}", page.limit + 1);
        let then = asker.then(&OrderHistory, &streams, as_of, (&sql, &filters)).await?;
        return Ok(then.told(answer(&then.rows)?));
    }
    let view = asker.view(&LAYOUT).await?;
    answer(&view.list(sql, &filters, page.limit).await?)
}

/// The same as it goes on.
async fn live(asker: &Asker, order: OrderId, after: Seen) -> Result<Response, Problem> {
    let stream = order::stream(order);
    let log = asker.log("orders").ok_or_else(|| asker.not_served(LAYOUT.name))?;
    asker.has_lost_nothing_of(LAYOUT.logs).await?;
    if log.read_stream(&stream, 0, 1).await.map_err(failed)?.is_empty() {
        return Err(Problem::not_found(format!("There is no order {order}.")));
    }
    let ahead = StreamAhead::new(asker, "orders", stream, after);
    let ahead = ahead.ok_or_else(|| asker.not_served(LAYOUT.name))?;
    if ahead.has_lost_it().await.map_err(failed)? {
        return Err(lost_what_was_seen());
    }
    sent(asker, History(ahead))
}

struct History(StreamAhead);

impl Ahead for History {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        let event = |event: Recorded| {
            let shown = Event::default().id(Seen::id(event.epoch, event.version));
            let shown = shown.event(&event.event_type);
            Ok(shown.data(serde_json::to_string(&Entry::of_event(event)?)?))
        };
        self.0.events().await?.into_iter().map(event).collect()
    }
}
