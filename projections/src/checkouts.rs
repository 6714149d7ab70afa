//! How far each order has come through stock and payment, and what it waits for when it does not go on.

mod attention;
mod change;

pub use attention::{NeedsAttention, needing_attention};

use crate::query::{
    Amount, Asker, Filters, Instant, Page, Queries, Sorted, as_of, failed, page, with_version,
};
use crate::{Layout, Place, Projection, projection};
use async_trait::async_trait;
use axum::response::Response;
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use domain::checkout::checkout::{self, Reservation};
use domain::ids::OrderId;
use domain::payments::payment;
use domain::values::Operator;
use edge::{ParamFields, Params, Problem, Target};
use event_store::Recorded;
use event_store::dues::{Late, late};
use event_store::follow::ApplyError;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_postgres::Row;
use uuid::Uuid;

use change::Change;

pub(crate) struct Checkouts;

const LAYOUT: Layout = Layout {
    name: "checkouts",
    version: 2,
    service: "checkout",
    logs: &["checkout"],
    tables: &["checkout"],
    key: ("checkout", "order_id"),
    of_others: &[],
    create: include_str!("checkouts/tables.sql"),
    index: include_str!("checkouts/indexes.sql"),
};

/// Stored, but for `stuck`, which depends on the clock and is found by the query.
const STATES: &[&str] = &["running", "needs-attention", "completed", STUCK];
const STUCK: &str = "stuck";

#[async_trait]
impl Projection for Checkouts {
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
            let order = projection::target(recorded, checkout::id_of)?;
            changes.entry(order.0).or_default().take(recorded.decode()?, recorded);
        }
        let changed = || changes.values();
        let started = || changed().map(|it| it.started.as_ref());
        let hand = || changed().map(|it| it.hand.as_ref());
        let sql = include_str!("checkouts/post.sql");
        place
            .execute(
                tx,
                sql,
                &[
                    &changes.keys().collect::<Vec<_>>(),
                    &changed().map(|it| it.state).collect::<Vec<_>>(),
                    &changed().map(|it| it.outcome).collect::<Vec<_>>(),
                    &changed().map(|it| it.attention_ended).collect::<Vec<_>>(),
                    &changed().map(|it| it.attention).collect::<Vec<_>>(),
                    &changed().map(|it| it.attention_since).collect::<Vec<_>>(),
                    &changed().map(|it| it.trouble.as_deref()).collect::<Vec<_>>(),
                    &hand().map(|it| it.map(|it| it.act)).collect::<Vec<_>>(),
                    &hand().map(|it| it.map(|it| it.reason.as_str())).collect::<Vec<_>>(),
                    &hand()
                        .map(|it| it.and_then(|it| it.by.as_ref()).map(Operator::as_str))
                        .collect::<Vec<_>>(),
                    &hand().map(|it| it.map(|it| it.at)).collect::<Vec<_>>(),
                    &started().map(|it| it.map(|it| json(&it.reservations))).collect::<Vec<_>>(),
                    &started()
                        .map(|it| it.map(|it| it.total.currency().as_str()))
                        .collect::<Vec<_>>(),
                    &started().map(|it| it.map(|it| it.total.amount())).collect::<Vec<_>>(),
                    &started().map(|it| it.map(|it| it.at)).collect::<Vec<_>>(),
                    &changed().map(|it| it.version).collect::<Vec<_>>(),
                ],
            )
            .await?;
        Ok(())
    }
}

fn json(reservations: &[Reservation]) -> String {
    serde_json::to_string(reservations).expect("a reservation has no map with other keys than text")
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Checkout")]
pub(crate) struct CheckoutView {
    order: Uuid,
    state: String,
    outcome: Option<String>,
    /// Why a person has to look; absent if nobody has to.
    attention: Option<String>,
    attention_since: Option<DateTime<Utc>>,
    /// What the provider or the owner of a request said, word by word.
    trouble: Option<String>,
    /// What a person did last.
    by_hand: Option<ByHandView>,
    #[schemars(with = "Vec<checkout::Reservation>")]
    reservations: Box<RawValue>,
    total: Amount,
    started_at: DateTime<Utc>,
    version: i64,
    /// What should have been done by now: by the checkout itself, and by the payment.
    late: Vec<LateView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ByHand")]
struct ByHandView {
    act: String,
    reason: String,
    by: Option<String>,
    at: DateTime<Utc>,
}

impl ByHandView {
    fn of(row: &Row) -> Option<Self> {
        Some(ByHandView {
            act: row.get::<_, Option<_>>("hand_act")?,
            reason: row.get::<_, Option<_>>("hand_reason")?,
            by: row.get("hand_by"),
            at: row.get::<_, Option<_>>("hand_at")?,
        })
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Late")]
struct LateView {
    stream: String,
    key: String,
    due_at: DateTime<Utc>,
    tries: i32,
    last_error: Option<String>,
}

impl CheckoutView {
    fn of(row: &Row, late: &mut BTreeMap<Uuid, Vec<Late>>) -> Result<Self, Problem> {
        let order: Uuid = row.get("order_id");
        let late = late.remove(&order).unwrap_or_default().into_iter();
        let late = late.map(|it| {
            let Late { stream, key, due_at, tries, last_error } = it;
            LateView { stream, key, due_at, tries, last_error }
        });
        Ok(CheckoutView {
            order,
            state: row.get("state"),
            outcome: row.get("outcome"),
            attention: row.get("attention"),
            attention_since: row.get("attention_since"),
            trouble: row.get("trouble"),
            by_hand: ByHandView::of(row),
            reservations: RawValue::from_string(row.get("reservations"))
                .map_err(Problem::internal)?,
            total: Amount { amount: row.get("total"), currency: row.get("currency") },
            started_at: row.get("started_at"),
            version: row.get("version"),
            late: late.collect(),
        })
    }
}

/// More late dues than these are not looked at; the oldest come first.
const MOST_LATE: i64 = 10_000;

/// What is late, by order.
async fn late_by_order(queries: &Queries) -> Result<BTreeMap<Uuid, Vec<Late>>, Problem> {
    let grace_s = queries.late_after().as_secs_f64();
    let mut by_order = BTreeMap::<Uuid, Vec<Late>>::new();
    for service in ["checkout", "payments"] {
        let Some(read) = queries.read_side(service) else { continue };
        for due in late(read, grace_s, MOST_LATE).await.map_err(failed)? {
            let order = checkout::id_of(&due.stream).or_else(|| payment::id_of(&due.stream));
            if let Some(order) = order {
                by_order.entry(order.0).or_default().push(due);
            }
        }
    }
    Ok(by_order)
}

type Asked = (Option<&'static str>, Page<(Instant, Uuid)>);

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<Asked> {
    let state = fields.one_of("state", STATES);
    let page = page(fields);
    Some((state?, page?))
}

/// `GET /v1/checkouts`: the latest first. `state=needs-attention` are those that wait for a person, and
/// `state=stuck` those for which something is late.
pub(crate) async fn list(asker: Asker, params: Params) -> Result<Response, Problem> {
    let (state, page) = params.read(asked)?;
    let mut late = late_by_order(&asker).await?;
    let stuck: Option<Vec<Uuid>> = (state == Some(STUCK)).then(|| late.keys().copied().collect());
    let stored = state.filter(|state| *state != STUCK);
    let mut filters = Filters::default();
    filters.and("order_id = any(?)", &stuck);
    filters.and("state = ?", &stored);
    filters.from(&page, &Sorted::Down("started_at, order_id"));
    let view = asker.view(&LAYOUT).await?;
    let rows = view.list(include_str!("checkouts/list.sql"), &filters, page.limit).await?;
    let checkouts = rows.iter().map(|row| CheckoutView::of(row, &mut late));
    let checkouts = checkouts.collect::<Result<Vec<_>, _>>()?;
    Ok(page.items(checkouts, |checkout| (Instant(checkout.started_at), checkout.order)))
}

/// `GET /v1/checkouts/{id}`, by the id of the order.
pub(crate) async fn find(
    asker: Asker,
    Target(order): Target<OrderId>,
    params: Params,
) -> Result<Response, Problem> {
    let as_of = params.read(as_of)?;
    let sql = include_str!("checkouts/list.sql");
    let only = Some(order.0);
    let mut filters = Filters::default();
    filters.and("order_id = ?", &only);
    let answer = |row: Option<&Row>, mut late| {
        let none = || Problem::not_found(format!("No checkout of order {order} has begun."));
        let checkout = CheckoutView::of(row.ok_or_else(none)?, &mut late)?;
        Ok::<_, Problem>(with_version(checkout.version, checkout))
    };
    if let Some(as_of) = as_of {
        let streams = [("checkout", checkout::stream(order))];
        let then = asker.then(&Checkouts, &streams, as_of, (sql, &filters)).await?;
        // What was late then is known to nobody.
        return Ok(then.told(answer(then.rows.first(), BTreeMap::new())?));
    }
    let view = asker.view(&LAYOUT).await?;
    let row = view.find(sql, &filters).await?;
    answer(row.as_ref(), late_by_order(&asker).await?)
}
