//! What every query shares: where its rows are, filters, pages and their cursors.

mod as_of;
mod asker;
mod events;
mod filters;
mod page;
mod teller;

pub(crate) use as_of::{AsOf, as_of, told};
pub(crate) use asker::Asker;
pub(crate) use events::{Ahead, Seen, StreamAhead, lost_what_was_seen, lost_what_was_told, sent};
pub(crate) use filters::{Direction, Filters, Instant, Sorted};
#[cfg(fuzzing)]
pub use page::cursor;
pub(crate) use page::{Items, MOST, Page, limit, one_way, page};
pub use teller::Teller;

use crate::{Generations, Layout, Place};
use axum::Json;
use axum::response::{IntoResponse, Response};
use deadpool_postgres::Object;
use edge::{Peer, Places, Problem, Unanswered};
use event_store::follow::{ReadSide, Runner};
use event_store::{Log, StoreError};
use http::header;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;

/// What the endpoints answer from. Clones share it.
#[derive(Clone)]
pub struct Queries(Arc<Inner>);

struct Inner {
    reads: HashMap<Arc<str>, ReadSide>,
    logs: HashMap<Arc<str>, Log>,
    /// Who answers for logs that are not here.
    owners: HashMap<String, Peer>,
    generations: Generations,
    /// Who follows in this process, and how long a caller may wait for him.
    runner: Option<Runner>,
    min_position_wait: Duration,
    /// Ends answers that have no end of their own.
    leaving: CancellationToken,
    /// Places for those who listen or wait, and for questions about the past.
    listeners: Places,
    past: Semaphore,
    late_after: Duration,
}

/// How long a due may be late before its checkout counts as stuck.
const LATE_AFTER: Duration = Duration::from_secs(30);
/// How many may listen or wait at once, and how many questions about the past are answered at once.
pub const ROOM: (usize, usize) = (500, 2);
/// How long a caller waits for what he has written.
const MIN_POSITION_WAIT: Duration = Duration::from_secs(2);

impl Queries {
    /// `reads` should be other pools than the followers', which a rush of queries must not hold up.
    #[must_use]
    pub fn new(reads: Vec<ReadSide>, logs: Vec<Log>, generations: Generations) -> Self {
        Queries(Arc::new(Inner {
            reads: reads.into_iter().map(|read| (read.service.clone(), read)).collect(),
            logs: logs.into_iter().map(|log| (log.service().clone(), log)).collect(),
            owners: HashMap::new(),
            generations,
            runner: None,
            min_position_wait: MIN_POSITION_WAIT,
            leaving: CancellationToken::new(),
            listeners: Places::new(ROOM.0),
            past: Semaphore::new(ROOM.1),
            late_after: LATE_AFTER,
        }))
    }

    /// Who waits for what he has written is answered as soon as a follower of this runner has posted it, and refused
    /// after `most`. Who listens to events is let go when the process is `leaving`.
    #[must_use]
    pub fn waiting(self, runner: Runner, most: Duration, leaving: CancellationToken) -> Self {
        let inner = Arc::into_inner(self.0).expect("nobody has a clone of what is being made");
        let (runner, min_position_wait) = (Some(runner), most);
        Queries(Arc::new(Inner { runner, min_position_wait, leaving, ..inner }))
    }

    /// The owners of logs elsewhere tell of the past of what is told by their streams too.
    #[must_use]
    pub fn asking(self, owners: HashMap<String, Peer>) -> Self {
        let inner = Arc::into_inner(self.0).expect("nobody has a clone of what is being made");
        Queries(Arc::new(Inner { owners, ..inner }))
    }

    /// With other bounds: so many callers may listen or wait at once, and so many questions about the past are answered
    /// at once, others after them.
    #[must_use]
    pub fn bounded(self, (listeners, past): (usize, usize)) -> Self {
        let inner = Arc::into_inner(self.0).expect("nobody has a clone of what is being made");
        let listeners = Places::new(listeners);
        Queries(Arc::new(Inner { listeners, past: Semaphore::new(past), ..inner }))
    }

    pub(crate) fn listeners(&self) -> &Places {
        &self.0.listeners
    }

    /// How many places are left for those who listen or wait, and for questions about the past.
    #[must_use]
    pub fn room(&self) -> (usize, usize) {
        (self.0.listeners.left(), self.0.past.available_permits())
    }

    pub(crate) fn log(&self, service: &str) -> Option<&Log> {
        self.0.logs.get(service)
    }

    pub(crate) fn owner(&self, service: &str) -> Option<&Peer> {
        self.0.owners.get(service)
    }

    /// Where the rows are that it answers from.
    pub fn reads(&self) -> impl Iterator<Item = &ReadSide> {
        self.0.reads.values()
    }

    pub(crate) fn read_side(&self, service: &str) -> Option<&ReadSide> {
        self.0.reads.get(service)
    }

    pub(crate) fn late_after(&self) -> Duration {
        self.0.late_after
    }

    /// Where the live rows of a projection are.
    fn place(&self, layout: &Layout) -> Result<(&ReadSide, Place), Problem> {
        let read = self.read_side(layout.service);
        let (Some(read), Some(generation)) = (read, self.0.generations.live(layout.name)) else {
            return Err(self.not_served(layout.name));
        };
        Ok((read, Place::new(read, generation)))
    }

    pub(crate) fn not_served(&self, what: &str) -> Problem {
        let detail = format!("This process does not answer for {what}.");
        Problem::unavailable("not-served", 5).detail(detail)
    }
}

/// A generation's rows, and a connection to read them.
pub(crate) struct View {
    client: Object,
    place: Place,
}

impl View {
    /// The rows that pass the filters, in the direction in which they are read, one more than the page holds if there is
    /// more.
    pub(crate) async fn list(
        &self,
        text: &str,
        filters: &Filters<'_>,
        limit: i64,
    ) -> Result<Vec<Row>, Problem> {
        let sql = format!("{} limit {}", filters.fill(&self.place.sql(text)), limit + 1);
        let statement = self.client.prepare_cached(&sql).await.map_err(failed)?;
        self.client.query(&statement, filters.arguments()).await.map_err(failed)
    }

    /// The one row that passes the filters.
    pub(crate) async fn find(
        &self,
        text: &str,
        filters: &Filters<'_>,
    ) -> Result<Option<Row>, Problem> {
        let sql = filters.fill(&self.place.sql(text));
        let statement = self.client.prepare_cached(&sql).await.map_err(failed)?;
        self.client.query_opt(&statement, filters.arguments()).await.map_err(failed)
    }
}

/// What a client is told when rows or events cannot be read.
pub(crate) fn failed(error: impl Into<StoreError>) -> Problem {
    let error = error.into();
    let cause = chain(&error);
    if error.is_transient() || is_dropped_generation(&error) {
        Problem::unavailable("unavailable", 1).caused_by(cause)
    } else {
        Problem::internal(cause)
    }
}

/// What a client is told when whoever owns a log elsewhere gives no answer.
pub(crate) fn away(error: Unanswered) -> Problem {
    Problem::unavailable("unavailable", 1).caused_by(error)
}

/// A process that was held up for long may ask for tables that a rebuild dropped since.
fn is_dropped_generation(error: &StoreError) -> bool {
    let StoreError::Postgres(error) = error else { return false };
    error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE)
}

pub(crate) fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |&source| source.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// Money as a query sums it, in minor units; unlike the domain's it has no upper bound.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Amount {
    pub amount: i64,
    pub currency: String,
}

/// One thing, with its stream's version as `ETag`.
pub(crate) fn with_version<T: Serialize>(version: i64, thing: T) -> Response {
    ([(header::ETAG, edge::conditional::etag(version))], Json(thing)).into_response()
}
