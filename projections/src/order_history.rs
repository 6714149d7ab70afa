//! What happened to an order, event by event.

use crate::query::{Filters, Items, Page, Queries, page};
use crate::{Layout, Place, Projection, projection};
use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use domain::ids::OrderId;
use domain::orders::order;
use edge::{Params, Problem, Target};
use event_store::follow::ApplyError;
use event_store::{Recorded, current};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio_postgres::Row;
use uuid::Uuid;

pub(crate) struct OrderHistory;

const LAYOUT: Layout = Layout {
    name: "order-history",
    version: 2,
    service: "orders",
    logs: &["orders"],
    tables: &["order_event"],
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
        let orders = batch.iter().map(|event| projection::target(event, order::id_of));
        let orders = orders.map(|order| Ok(order?.0)).collect::<Result<Vec<_>, ApplyError>>()?;
        for event in batch {
            current::<order::Event>(&event.event_type, event.schema_version, &event.payload)?;
        }
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
}

#[derive(Serialize)]
pub(crate) struct Entry {
    version: i64,
    id: Uuid,
    #[serde(rename = "type")]
    event_type: String,
    /// Of the payload as it is shown.
    schema: i32,
    payload: Box<RawValue>,
    correlation: String,
    causation: Option<Uuid>,
    actor: String,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
}

impl Entry {
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

/// `GET /v1/orders/{id}/history`: from the first event on.
pub(crate) async fn list(
    State(queries): State<Queries>,
    Target(order): Target<OrderId>,
    params: Params,
) -> Result<Json<Items<Entry>>, Problem> {
    let page: Page<i64> = params.read(page)?;
    let only = Some(order.0);
    let mut filters = Filters::default();
    filters.and("order_id = ?", &only);
    filters.and("version > ?", &page.after);
    let view = queries.view(&LAYOUT).await?;
    let rows = view.list(include_str!("order_history/list.sql"), &filters, page.limit).await?;
    if rows.is_empty() && page.after.is_none() {
        return Err(Problem::not_found(format!("There is no order {order}.")));
    }
    let entries = rows.iter().map(Entry::of).collect::<Result<Vec<_>, _>>()?;
    Ok(page.items(entries, |entry| entry.version))
}
