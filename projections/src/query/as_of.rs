//! A thing as it was: its events up to then, posted by the same fold into tables that nobody else sees.

use super::{Asker, Filters, Instant, MOST, Queries, Teller, away, failed};
use crate::log::page_of;
use crate::{Place, Projection};
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use edge::{ParamFields, Problem};
use event_store::follow::{ApplyError, discarded};
use event_store::{Log, Recorded};
use http::{HeaderName, HeaderValue, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::SemaphorePermit;
use tokio_postgres::Row;

/// When: a version of the thing's own stream, or an instant, by what was recorded then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsOf {
    Version(i64),
    Instant(DateTime<Utc>),
}

/// What an answer about the past shows.
pub(crate) const AS_OF: HeaderName = HeaderName::from_static("daybook-as-of");

#[derive(Debug)]
pub(crate) struct NoAsOf;

impl fmt::Display for NoAsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "is a version, like 3, or an instant of RFC 3339 in the years 1 to 9999, like 2010-12-01T08:26:00Z",
        )
    }
}

/// Takes `as_of`, which may be absent.
pub(crate) fn as_of(fields: &mut ParamFields<'_>) -> Option<Option<AsOf>> {
    fields.optional("as_of")
}

impl FromStr for AsOf {
    type Err = NoAsOf;

    fn from_str(text: &str) -> Result<Self, NoAsOf> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(AsOf::Version).map_err(|_| NoAsOf);
        }
        let Instant(at) = text.parse().map_err(|_| NoAsOf)?;
        Ok(AsOf::Instant(at))
    }
}

impl JsonSchema for AsOf {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AsOf".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A version of the thing's own stream, or an instant of the database's clock.",
            "anyOf": [{ "pattern": "^[0-9]{1,18}$" }, { "format": "date-time" }],
        })
    }
}

/// The rows as they were, the instant, and the version that the thing had then.
pub(crate) struct Then {
    pub(crate) rows: Vec<Row>,
    at: DateTime<Utc>,
    version: i64,
}

impl Then {
    pub(crate) fn told(&self, mut response: Response) -> Response {
        let of_it = response.headers_mut().entry(header::ETAG);
        of_it.or_insert_with(|| edge::conditional::etag(self.version));
        told(self.at, response)
    }
}

/// Says in an answer what it shows; the version is its `ETag`.
pub(crate) fn told(at: DateTime<Utc>, mut response: Response) -> Response {
    let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    if let Ok(at) = HeaderValue::try_from(at) {
        response.headers_mut().insert(AS_OF, at);
    }
    response
}

/// Events that are read and posted at once.
const PAGE: i64 = 1_000;

impl Asker {
    /// The rows that a query finds of one thing as it was, told by streams of one service or more: the first is the
    /// thing's own.
    pub(crate) async fn then(
        &self,
        projection: &dyn Projection,
        streams: &[(&str, String)],
        as_of: AsOf,
        (sql, filters): (&str, &Filters<'_>),
    ) -> Result<Then, Problem> {
        let layout = projection.layout();
        let Some(read) = self.read_side(layout.service) else {
            return Err(self.not_served(layout.name));
        };
        let services: Vec<&str> = streams.iter().map(|(service, _)| *service).collect();
        self.has_lost_nothing_of(&services).await?;
        let _place = self.asks_of_the_past().await?;
        let at = self.closed(layout.name, streams, as_of).await?;
        let mut client = read.pool.get().await.map_err(failed)?;
        let tx = client.transaction().await.map_err(failed)?;
        // Of this session, and gone with the transaction.
        let place = Place { schema: "pg_temp".into(), generation: 0 };
        tx.batch_execute(&place.sql(layout.create)).await.map_err(failed)?;
        let mut own_version = 0;
        for ((service, stream), nth) in streams.iter().zip(0..) {
            let teller = self.teller(service).ok_or_else(|| self.not_served(layout.name))?;
            let until = match as_of {
                AsOf::Version(version) if nth == 0 => Until::Version(version),
                AsOf::Version(_) | AsOf::Instant(_) => Until::Instant(at),
            };
            let mut version = 0;
            while let Some(mut page) = teller.page(stream, until, version).await? {
                let Some(last) = page.last() else { break };
                version = last.version;
                let left_out = discarded(read, layout.name, service, last.partition).await;
                let left_out = left_out.map_err(failed)?;
                page.retain(|event| !left_out.contains(&event.event_id));
                projection.post(&place, &tx, &page).await.map_err(broken)?;
            }
            if nth == 0 {
                own_version = version;
            }
        }
        let statement = filters.fill(&place.sql(sql));
        let statement = tx.prepare_cached(&statement).await.map_err(failed)?;
        let rows = tx.query(&statement, filters.arguments()).await.map_err(failed)?;
        tx.rollback().await.map_err(failed)?;
        Ok(Then { rows, at, version: own_version })
    }
}

impl Queries {
    /// A place for a question about the past. A long stream is read for long, and an append that hangs is waited for:
    /// others have the rest of the connections meanwhile.
    pub(crate) async fn asks_of_the_past(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.0.past.acquire().await.map_err(Problem::internal)
    }

    /// The instant that is asked for, once nothing more can be recorded in the streams' partitions up to then: appends
    /// that are under way are waited for.
    pub(crate) async fn closed(
        &self,
        name: &str,
        streams: &[(&str, String)],
        as_of: AsOf,
    ) -> Result<DateTime<Utc>, Problem> {
        let mut at = None;
        for (service, stream) in streams {
            // Elsewhere the owner waits for what is under way when he is asked.
            let log = match self.teller(service).ok_or_else(|| self.not_served(name))? {
                Teller::Here(log) => log,
                Teller::Elsewhere { .. } => continue,
            };
            match (at, as_of) {
                // The other streams are shown as they were when this one's event was recorded.
                (None, AsOf::Version(version)) => {
                    at = Some(recorded_at(log, stream, version).await?)
                }
                (Some(at), _) | (None, AsOf::Instant(at)) => {
                    let partition = log.partition_of(stream);
                    if !log.is_closed_until(partition, at).await.map_err(failed)? {
                        let detail = format!("{at} is still to come.");
                        return Err(Problem::bad_request("future", detail));
                    }
                }
            }
            if let AsOf::Instant(instant) = as_of {
                at = Some(instant);
            }
        }
        at.ok_or_else(|| Problem::internal("a thing without a stream"))
    }
}

/// When a version of a stream was recorded.
async fn recorded_at(log: &Log, stream: &str, version: i64) -> Result<DateTime<Utc>, Problem> {
    let none = || Problem::not_found(format!("There was no {stream} yet."));
    if version == 0 {
        return Err(none());
    }
    let found = log.read_stream(stream, version - 1, 1).await.map_err(failed)?.pop();
    if let Some(event) = found {
        return Ok(event.recorded_at);
    }
    if log.read_stream(stream, 0, 1).await.map_err(failed)?.is_empty() {
        return Err(none());
    }
    let detail = format!("{stream} has no version {version} yet.");
    Err(Problem::bad_request("future", detail))
}

impl Teller<'_> {
    /// The next events that are shown; none if there are no more.
    async fn page(
        &self,
        stream: &str,
        until: Until,
        after: i64,
    ) -> Result<Option<Vec<Arc<Recorded>>>, Problem> {
        let (service, owner) = match self {
            Teller::Here(log) => return until.page(log, stream, after).await,
            Teller::Elsewhere { service, owner } => (service, owner),
        };
        let as_of = match until {
            Until::Version(version) => version.to_string(),
            Until::Instant(at) => at.to_rfc3339_opts(SecondsFormat::Micros, true),
        };
        let query = [("as_of", as_of), ("after", after.to_string()), ("limit", MOST.to_string())];
        let page = page_of(owner, service, stream, &query).await.map_err(away)?;
        let page: Vec<_> = page.events.into_iter().map(Arc::new).collect();
        Ok((!page.is_empty()).then_some(page))
    }
}

/// How much of a stream is shown.
#[derive(Clone, Copy)]
enum Until {
    Version(i64),
    Instant(DateTime<Utc>),
}

impl Until {
    /// The next events that are shown; none if there are no more.
    async fn page(
        self,
        log: &Log,
        stream: &str,
        after: i64,
    ) -> Result<Option<Vec<Arc<Recorded>>>, Problem> {
        let limit = match self {
            Until::Version(version) => PAGE.min(version - after),
            Until::Instant(_) => PAGE,
        };
        if limit <= 0 {
            return Ok(None);
        }
        let page = log.read_stream(stream, after, limit).await.map_err(failed)?;
        let shown = |event: &Recorded| match self {
            Until::Version(_) => true,
            Until::Instant(at) => event.recorded_at <= at,
        };
        let page: Vec<_> = page.into_iter().take_while(shown).map(Arc::new).collect();
        Ok((!page.is_empty()).then_some(page))
    }
}

/// What this fold cannot post, the live rows lack too: the past is not told without it.
fn broken(error: ApplyError) -> Problem {
    match error {
        ApplyError::Transient(why) => Problem::unavailable("unavailable", 1).caused_by(why),
        ApplyError::Poison(why) | ApplyError::Unknown(why) => {
            let detail = "An event of it cannot be posted, and waits for somebody to mend that.";
            Problem::unavailable("parked", 30).detail(detail).caused_by(why)
        }
        ApplyError::Broken(why) => Problem::internal(why),
    }
}
