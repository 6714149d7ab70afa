//! A log as it is, for those who follow it without access to its database.

mod elsewhere;
pub(crate) mod stream;

pub use elsewhere::{HttpOwner, first_of};
pub(crate) use elsewhere::{has_lost, page_of, unanswered};

use crate::query::{
    Ahead, Asker, Direction, Items, Seen, chain, failed, limit, lost_what_was_seen,
    lost_what_was_told, one_way, sent,
};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use axum::response::sse::Event;
use chrono::{DateTime, Utc};
use decider::Decider;
use domain::catalogue::product::{self, Product};
use domain::checkout::checkout::{self, Checkout};
use domain::inventory::stock::{self, Stock};
use domain::orders::order::{self, Order};
use domain::payments::payment::{self, Payment};
use edge::{Address, ParamFields, Params, Problem};
use event_store::{
    BadPosition, DecodeError, Log, Metadata, Position, Recorded, StoreError, current,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use tokio::sync::watch;
use uuid::Uuid;

/// An event of the log as it is shown: one JSON object.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct LoggedEvent {
    position: String,
    offset: i64,
    stream: String,
    version: i64,
    id: Uuid,
    #[serde(rename = "type")]
    event_type: String,
    /// Of the payload as it is shown.
    schema: i32,
    /// Of the payload as it is stored, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored_schema: Option<i32>,
    command: Uuid,
    ordinal: i32,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    payload: Box<RawValue>,
    metadata: Metadata,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
}

impl LoggedEvent {
    /// As this binary would write it, whichever wrote it. What this one cannot read is shown as it is stored:
    /// whoever asks wants to see just that.
    ///
    /// # Errors
    /// If the payload is not JSON, which the log refuses to hold.
    pub fn of(event: Recorded) -> Result<Self, serde_json::Error> {
        let upcast = match upcast(&event) {
            Ok((schema, Cow::Owned(payload))) => Some((schema, payload)),
            Ok((_, Cow::Borrowed(_))) | Err(_) => None,
        };
        let stored = event.schema_version;
        let (schema_version, payload) = upcast.unwrap_or((stored, event.payload));
        let shown = Self::stored(Recorded { schema_version, payload, ..event })?;
        Ok(LoggedEvent { stored_schema: Some(stored).filter(|it| *it != shown.schema), ..shown })
    }

    /// As it is stored: what other services are told.
    ///
    /// # Errors
    /// If the payload is not JSON, which the log refuses to hold.
    pub fn stored(event: Recorded) -> Result<Self, serde_json::Error> {
        Ok(LoggedEvent {
            position: event.position().to_string(),
            offset: event.offset,
            stream: event.stream,
            version: event.version,
            id: event.event_id,
            event_type: event.event_type,
            schema: event.schema_version,
            stored_schema: None,
            command: event.command_id,
            ordinal: event.ordinal,
            payload: RawValue::from_string(event.payload)?,
            metadata: event.metadata,
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
        })
    }

    /// The event, from what was told as it is [`stored`](Self::stored).
    pub(crate) fn recorded(self) -> Result<Recorded, BadPosition> {
        let Position { service, partition, epoch, offset } = self.position.parse()?;
        Ok(Recorded {
            service: service.into(),
            partition,
            epoch,
            offset,
            stream: self.stream,
            version: self.version,
            event_id: self.id,
            command_id: self.command,
            ordinal: self.ordinal,
            event_type: self.event_type,
            schema_version: self.schema,
            payload: Box::<str>::from(self.payload).into(),
            metadata: self.metadata,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
        })
    }
}

/// The payload as this binary would write it, of whichever decider the stream is.
fn upcast(event: &Recorded) -> Result<(i32, Cow<'_, str>), DecodeError> {
    let current = match event.stream.split('-').next().unwrap_or_default() {
        Product::CATEGORY => current::<product::Event>,
        Stock::CATEGORY => current::<stock::Event>,
        Order::CATEGORY => current::<order::Event>,
        Payment::CATEGORY => current::<payment::Event>,
        Checkout::CATEGORY => current::<checkout::Event>,
        _ => return Ok((event.schema_version, Cow::Borrowed(&event.payload))),
    };
    current(&event.event_type, event.schema_version, &event.payload)
}

/// Whether this binary can read an event of the shop, whichever wrote it.
///
/// # Errors
/// Why not.
pub fn readable(event: &Recorded) -> Result<(), String> {
    let read = match event.stream.split('-').next().unwrap_or_default() {
        Product::CATEGORY => event.decode::<product::Event>().map(drop),
        Stock::CATEGORY => event.decode::<stock::Event>().map(drop),
        Order::CATEGORY => event.decode::<order::Event>().map(drop),
        Payment::CATEGORY => event.decode::<payment::Event>().map(drop),
        Checkout::CATEGORY => event.decode::<checkout::Event>().map(drop),
        _ => return Err(format!("`{}` is no stream of this shop", event.stream)),
    };
    read.map_err(|error| chain(&error))
}

/// Events that are read at once for who listens.
const PAGE: i64 = 100;

/// `GET /v1/log/{service}`: where each partition of a log ends. Whoever asks with a position is told if it is lost.
pub(crate) async fn ends(
    asker: Asker,
    Path(service): Path<String>,
    params: Params,
) -> Result<Json<Ends>, Problem> {
    params.read(|_| Some(()))?;
    let unknown = || Problem::not_found(format!("There is no log {service} here."));
    let log = asker.log(&service).ok_or_else(unknown)?;
    asker.has_lost_nothing_of(&[&*service]).await?;
    let ends = log.ends().await.map_err(failed)?;
    let partitions = ends.iter().zip(0..).map(|(end, partition)| EndOf {
        partition,
        epoch: end.epoch,
        next: end.next_offset,
    });
    Ok(Json(Ends { partitions: partitions.collect() }))
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LogEnds")]
pub(crate) struct Ends {
    partitions: Vec<EndOf>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LogEnd")]
struct EndOf {
    partition: i32,
    epoch: i32,
    /// The offset that its next event will have.
    next: i64,
}

/// A cursor and which way it is read, how much, and whether as it is stored.
type Asked = (Option<i64>, Direction, i64, bool, Address);

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<Asked> {
    let (after, before) = (fields.optional::<u64>("after"), fields.optional("before"));
    let (limit, stored) = (limit(fields), fields.optional("stored"));
    let (cursor, direction) = one_way(fields, after?, before?)?;
    // Past the end of every log, where it is no offset.
    let cursor = cursor.map(|cursor| i64::try_from(cursor).unwrap_or(i64::MAX));
    let stored = stored?.unwrap_or(false);
    Some((cursor, direction, limit?, stored, fields.address().clone()))
}

/// `GET /v1/log/{service}/{partition}`. The cursor of a log is an offset, which followers know by
/// themselves: `after=41` begins at 42, without it at 0, and `before=42` ends at 41. With `stored=true` payloads are as
/// they are stored, not as this binary would write them.
pub(crate) async fn list(
    asker: Asker,
    Path((service, partition)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let (cursor, direction, limit, stored, address) = params.read(asked)?;
    let unknown = || Problem::not_found(format!("There is no log {service}/{partition} here."));
    let log = asker.log(&service).ok_or_else(unknown)?;
    let number = partition.parse().ok().filter(|number| (0..log.partitions()).contains(number));
    let partition = number.ok_or_else(unknown)?;
    asker.has_lost_nothing_of(&[&*service]).await?;
    if let Some(last) = asker.events() {
        let after = cursor.filter(|_| direction == Direction::Forward);
        let after = last.or(after.map(|number| Seen { epoch: None, number }));
        let next = after.map_or(0, |after| after.number.saturating_add(1));
        let (log, heads, epoch) = (log.clone(), log.known_heads(), after.and_then(|it| it.epoch));
        let ahead = LogAhead { log, heads, partition, next, epoch };
        if ahead.has_lost_it().await.map_err(failed)? {
            return Err(lost_what_was_seen());
        }
        return sent(&asker, ahead);
    }
    let (from, size) = match (direction, cursor) {
        (Direction::Forward, after) => (after.map_or(0, |after| after.saturating_add(1)), limit),
        (Direction::Backward, before) => {
            let end = head(log, partition).await?.min(before.unwrap_or(i64::MAX));
            let from = end.saturating_sub(limit).max(0);
            (from, end - from)
        }
    };
    let events = log.read_partition(partition, from, size + 1).await.map_err(failed)?;
    let shown = if stored { LoggedEvent::stored } else { LoggedEvent::of };
    Ok(page(events, (from, size), shown)?.at(&address))
}

/// A page of a log of so many events, from one more if there is one. There are no holes, so that what comes before is
/// known.
fn page(
    mut events: Vec<Recorded>,
    (from, size): (i64, i64),
    shown: fn(Recorded) -> Result<LoggedEvent, serde_json::Error>,
) -> Result<Items<LoggedEvent>, Problem> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = events.len() > size;
    events.truncate(size);
    let next = events.last().filter(|_| more).map(|last| last.offset.to_string());
    let prev = (from > 0).then(|| from.to_string());
    let items = events.into_iter().map(shown).collect::<Result<_, _>>();
    Ok(Items { items: items.map_err(Problem::internal)?, next, prev })
}

/// How many events a partition has.
async fn head(log: &Log, partition: i32) -> Result<i64, Problem> {
    let heads = log.heads().await.map_err(failed)?;
    Ok(usize::try_from(partition).ok().and_then(|at| heads.get(at).copied()).unwrap_or(0))
}

/// What is yet to come in one partition of a log.
struct LogAhead {
    log: Log,
    heads: watch::Receiver<Vec<i64>>,
    partition: i32,
    next: i64,
    /// Of the event before that one, if that is known.
    epoch: Option<i32>,
}

impl LogAhead {
    /// Whether a failover has taken what was seen last.
    async fn has_lost_it(&self) -> Result<bool, StoreError> {
        let Some(epoch) = self.epoch else { return Ok(false) };
        let (service, partition) = (self.log.service().to_string(), self.partition);
        self.log.has_lost(&Position { service, partition, epoch, offset: self.next - 1 }).await
    }
}

impl Ahead for LogAhead {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        let at = usize::try_from(self.partition).unwrap_or_default();
        loop {
            let page = self.log.read_partition(self.partition, self.next, PAGE).await?;
            if let (Some(first), Some(last)) = (page.first(), page.last()) {
                if Some(first.epoch) != self.epoch && self.has_lost_it().await? {
                    return Err(lost_what_was_told());
                }
                (self.next, self.epoch) = (last.offset + 1, Some(last.epoch));
                let event = |event: Recorded| {
                    let shown = Event::default().id(Seen::id(event.epoch, event.offset));
                    let shown = shown.event(&event.event_type);
                    Ok(shown.data(serde_json::to_string(&LoggedEvent::of(event)?)?))
                };
                return page.into_iter().map(event).collect();
            }
            let next = self.next;
            let more = self.heads.wait_for(|heads| heads.get(at).is_some_and(|head| next < *head));
            // The sender lives as long as the log that is held here.
            let _ = more.await;
        }
    }
}
