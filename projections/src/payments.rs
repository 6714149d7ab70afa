//! The money of an order: what was asked of the provider, and what it said.

use crate::query::{Amount, Asker, Filters, as_of, with_version};
use crate::{Layout, Place, Projection, projection};
use async_trait::async_trait;
use axum::response::Response;
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use domain::ids::OrderId;
use domain::payments::payment::{self, Event, Operation};
use domain::values::{Money, PaymentMethod, Reason};
use edge::{Params, Problem, Target};
use event_store::Recorded;
use event_store::follow::ApplyError;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_postgres::Row;
use uuid::Uuid;

pub(crate) struct Payments;

const LAYOUT: Layout = Layout {
    name: "payments",
    version: 1,
    service: "payments",
    logs: &["payments"],
    tables: &["payment"],
    key: ("payment", "order_id"),
    of_others: &[],
    create: include_str!("payments/tables.sql"),
    index: "",
};

/// Of the payment of an order; `none` if nothing was asked of the provider.
pub(crate) const STATUSES: &[&str] =
    &["none", "requested", "authorised", "declined", "failed", "captured", "voided", "refunded"];

/// The status that an event brings, if it brings one. What is merely asked for changes nothing yet.
pub(crate) fn status_after(event: &Event) -> Option<&'static str> {
    match event {
        Event::AuthorisationRequested { .. } => Some("requested"),
        Event::Authorised { .. } => Some("authorised"),
        Event::Declined { .. } => Some("declined"),
        Event::AuthorisationFailed { .. } => Some("failed"),
        Event::Captured { .. } => Some("captured"),
        Event::Voided { .. } => Some("voided"),
        Event::Refunded { .. } => Some("refunded"),
        Event::CaptureRequested { .. }
        | Event::CaptureFailed { .. }
        | Event::VoidRequested { .. }
        | Event::VoidFailed { .. }
        | Event::RefundRequested { .. }
        | Event::RefundFailed { .. } => None,
    }
}

/// What a batch says of one payment. Every event says what is pending and what failed, even if nothing.
#[derive(Default)]
struct Change {
    status: Option<&'static str>,
    pending: Option<&'static str>,
    failure: Option<Reason>,
    asked: Option<(PaymentMethod, Money, DateTime<Utc>)>,
    authorised: i64,
    captured: i64,
    refunded: i64,
    reference: Option<String>,
    version: i64,
}

impl Change {
    fn take(&mut self, event: Event, recorded: &Recorded) {
        self.version = recorded.version;
        self.status = status_after(&event).or(self.status);
        self.pending = None;
        self.failure = None;
        match event {
            Event::AuthorisationRequested { attempt: _, amount, method } => {
                self.pending = Some(Operation::Authorisation.verb());
                self.asked = Some((method, amount, recorded.occurred_at));
            }
            Event::CaptureRequested { .. } => self.pending = Some(Operation::Capture.verb()),
            Event::VoidRequested { .. } => self.pending = Some(Operation::Void.verb()),
            Event::RefundRequested { .. } => self.pending = Some(Operation::Refund.verb()),
            Event::Authorised { attempt: _, amount, reference } => {
                self.authorised += amount.amount();
                self.reference = Some(reference);
            }
            Event::Captured { attempt: _, amount } => self.captured += amount.amount(),
            Event::Refunded { attempt: _, amount, reference: _ } => {
                self.refunded += amount.amount()
            }
            Event::Voided { .. } => {}
            Event::Declined { attempt: _, reason }
            | Event::AuthorisationFailed { attempt: _, reason }
            | Event::CaptureFailed { attempt: _, reason }
            | Event::VoidFailed { attempt: _, reason }
            | Event::RefundFailed { attempt: _, reason } => self.failure = Some(reason),
        }
    }
}

#[async_trait]
impl Projection for Payments {
    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        let mut changes = BTreeMap::<Uuid, Change>::new();
        for recorded in batch {
            let order = projection::target(recorded, payment::id_of)?;
            changes.entry(order.0).or_default().take(recorded.decode()?, recorded);
        }
        let changed = || changes.values();
        let asked = || changed().map(|it| it.asked.as_ref());
        let sql = include_str!("payments/post.sql");
        place
            .execute(
                tx,
                sql,
                &[
                    &changes.keys().collect::<Vec<_>>(),
                    &changed().map(|it| it.status).collect::<Vec<_>>(),
                    &changed().map(|it| it.pending).collect::<Vec<_>>(),
                    &changed()
                        .map(|it| it.failure.as_ref().map(Reason::as_str))
                        .collect::<Vec<_>>(),
                    &asked().map(|it| it.map(|(method, ..)| method.as_str())).collect::<Vec<_>>(),
                    &asked()
                        .map(|it| it.map(|(_, it, _)| it.currency().as_str()))
                        .collect::<Vec<_>>(),
                    &asked().map(|it| it.map(|(_, it, _)| it.amount())).collect::<Vec<_>>(),
                    &changed().map(|it| it.authorised).collect::<Vec<_>>(),
                    &changed().map(|it| it.captured).collect::<Vec<_>>(),
                    &changed().map(|it| it.refunded).collect::<Vec<_>>(),
                    &changed().map(|it| it.reference.as_deref()).collect::<Vec<_>>(),
                    &asked().map(|it| it.map(|(.., at)| at)).collect::<Vec<_>>(),
                    &changed().map(|it| it.version).collect::<Vec<_>>(),
                ],
            )
            .await?;
        Ok(())
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Payment")]
pub(crate) struct PaymentView {
    order: Uuid,
    status: String,
    pending: Option<String>,
    failure: Option<String>,
    method: String,
    amount: Amount,
    authorised: Amount,
    captured: Amount,
    refunded: Amount,
    reference: Option<String>,
    requested_at: DateTime<Utc>,
    version: i64,
}

impl PaymentView {
    fn of(row: &Row) -> Self {
        let currency: String = row.get("currency");
        let amount = |name| Amount { amount: row.get(name), currency: currency.clone() };
        PaymentView {
            order: row.get("order_id"),
            status: row.get("status"),
            pending: row.get("pending"),
            failure: row.get("failure"),
            method: row.get("method"),
            amount: amount("amount"),
            authorised: amount("authorised"),
            captured: amount("captured"),
            refunded: amount("refunded"),
            reference: row.get("reference"),
            requested_at: row.get("requested_at"),
            version: row.get("version"),
        }
    }
}

/// `GET /v1/payments/{id}`, by the id of the order.
pub(crate) async fn find(
    asker: Asker,
    Target(order): Target<OrderId>,
    params: Params,
) -> Result<Response, Problem> {
    let as_of = params.read(as_of)?;
    let sql = include_str!("payments/find.sql");
    let only = Some(order.0);
    let mut filters = Filters::default();
    filters.and("order_id = ?", &only);
    let answer = |row: Option<&Row>| {
        let none = || format!("Nothing was asked of the payment provider for order {order}.");
        let row = row.ok_or_else(|| Problem::not_found(none()))?;
        let payment = PaymentView::of(row);
        Ok::<_, Problem>(with_version(payment.version, payment))
    };
    let streams = [("payments", payment::stream(order))];
    asker.one(&Payments, (&streams, as_of), (sql, &filters), answer).await
}
