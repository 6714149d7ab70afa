//! What every query shares: where its rows are, filters, pages and their cursors.

mod filters;
mod page;

pub(crate) use filters::{Filters, Instant, one_of};
#[cfg(fuzzing)]
pub use page::cursor;
pub(crate) use page::{Items, Page, limit, page};

use crate::{Generations, Layout, Place};
use axum::Json;
use axum::response::{IntoResponse, Response};
use deadpool_postgres::Object;
use edge::Problem;
use event_store::follow::ReadSide;
use event_store::{Log, StoreError};
use http::header;
use serde::Serialize;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;

/// What the endpoints answer from. Clones share it.
#[derive(Clone)]
pub struct Queries(Arc<Inner>);

struct Inner {
    reads: HashMap<Arc<str>, ReadSide>,
    logs: HashMap<Arc<str>, Log>,
    generations: Generations,
    late_after: Duration,
}

/// How long a due may be late before its checkout counts as stuck.
const LATE_AFTER: Duration = Duration::from_secs(30);

impl Queries {
    /// `reads` should be other pools than the followers', which a rush of queries must not hold up.
    #[must_use]
    pub fn new(reads: Vec<ReadSide>, logs: Vec<Log>, generations: Generations) -> Self {
        Queries(Arc::new(Inner {
            reads: reads.into_iter().map(|read| (read.service.clone(), read)).collect(),
            logs: logs.into_iter().map(|log| (log.service().clone(), log)).collect(),
            generations,
            late_after: LATE_AFTER,
        }))
    }

    pub(crate) fn log(&self, service: &str) -> Option<&Log> {
        self.0.logs.get(service)
    }

    pub(crate) fn read_side(&self, service: &str) -> Option<&ReadSide> {
        self.0.reads.get(service)
    }

    pub(crate) fn read_sides(&self) -> impl Iterator<Item = &ReadSide> {
        self.0.reads.values()
    }

    pub(crate) fn late_after(&self) -> Duration {
        self.0.late_after
    }

    /// The live rows of a projection.
    pub(crate) async fn view(&self, layout: &Layout) -> Result<View, Problem> {
        let read = self.read_side(layout.service);
        let (Some(read), Some(generation)) = (read, self.0.generations.live(layout.name)) else {
            let detail = format!("This process does not answer for {}.", layout.name);
            return Err(Problem::unavailable("not-served", 5).detail(detail));
        };
        let client = read.pool.get().await.map_err(failed)?;
        Ok(View { client, place: Place::new(read, generation) })
    }
}

/// A generation's rows, and a connection to read them.
pub(crate) struct View {
    client: Object,
    place: Place,
}

impl View {
    /// The rows that pass the filters, one more than the page holds if there is more.
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

/// A process that was held up for long may ask for tables that a rebuild dropped since.
fn is_dropped_generation(error: &StoreError) -> bool {
    let StoreError::Postgres(error) = error else { return false };
    error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE)
}

fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |&source| source.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// Money as a query sums it, in minor units; unlike the domain's it has no upper bound.
#[derive(Clone, Debug, Serialize)]
pub struct Amount {
    pub amount: i64,
    pub currency: String,
}

/// One thing, with its stream's version as `ETag`.
pub(crate) fn with_version<T: Serialize>(version: i64, thing: T) -> Response {
    ([(header::ETAG, edge::conditional::etag(version))], Json(thing)).into_response()
}
