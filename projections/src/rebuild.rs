//! A new generation of a projection, built from the log beside the live one, which keeps following; when it
//! has caught up it becomes the live one. The log is only read, and whoever is killed at any line leaves the
//! live generation as it was.

mod builder;
mod cutover;

use crate::generation::{add, drop_generation, lock};
use crate::{Place, Projection};
use builder::Builder;
use deadpool_postgres::Object;
use event_store::failpoint::failpoint;
use event_store::follow::{ApplyError, ReadSide};
use event_store::{Log, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a rebuild is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Posting what the log held at the start.
    Filling,
    /// Making the indexes.
    Indexing,
    /// Posting what came meanwhile.
    CatchingUp,
    /// The new generation is the live one.
    Live,
}

/// How far a rebuild is.
#[derive(Clone, Debug)]
pub struct Progress {
    pub projection: &'static str,
    pub phase: Phase,
    /// Events posted, of those that the logs held at the start; more when more came meanwhile.
    pub done: u64,
    pub total: u64,
    /// Events a second since the start.
    pub rate: f64,
}

/// A rebuild whose generation is live.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    pub generation: i32,
    pub events: u64,
    /// Of these, what somebody had discarded.
    pub left_out: u64,
    pub took: Duration,
}

/// Why the live generation is still the old one.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("`{0}` is being rebuilt by another process")]
    UnderWay(&'static str),
    #[error("`{projection}` is posted from the log of `{service}`, which is not open here")]
    NoLog { projection: &'static str, service: &'static str },
    #[error("an event cannot be posted")]
    Apply(#[from] ApplyError),
    #[error("the database is out of reach, or refused")]
    Store(#[from] StoreError),
    #[error("another process posted into the new generation, or dropped it")]
    Overtaken,
    #[error("a task of the rebuild ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl From<tokio_postgres::Error> for RebuildError {
    fn from(error: tokio_postgres::Error) -> Self {
        RebuildError::Store(error.into())
    }
}

impl From<deadpool_postgres::PoolError> for RebuildError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        RebuildError::Store(error.into())
    }
}

/// Builds a new generation of a projection and makes it the live one. It works beside running processes,
/// which take it on within a second, and without any. `read` is used by a few tasks at once, and must have
/// another pool than the followers of this process: for a moment these wait for the rebuild, each with a
/// connection.
///
/// # Errors
/// See [`RebuildError`]; the live generation is then the same as before.
pub async fn rebuild(
    projection: &Arc<dyn Projection>,
    read: &ReadSide,
    logs: &[Log],
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<Rebuilt, RebuildError> {
    let layout = projection.layout();
    let began = Instant::now();
    let logs = layout.logs.iter().map(|&service| {
        let log = logs.iter().find(|log| **log.service() == *service).cloned();
        log.ok_or(RebuildError::NoLog { projection: layout.name, service })
    });
    let logs = logs.collect::<Result<Vec<_>, _>>()?;
    let alone = alone(projection, read).await?;
    let built = build(projection, read, logs, progress).await;
    if let Err(error) = alone.execute("select pg_advisory_unlock_all()", &[]).await {
        tracing::debug!(%error, "the session ended, and the lock of the rebuild with it");
    }
    let (generation, events, left_out) = built?;
    Ok(Rebuilt { generation, events, left_out, took: began.elapsed() })
}

async fn build(
    projection: &Arc<dyn Projection>,
    read: &ReadSide,
    logs: Vec<Log>,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<(i32, u64, u64), RebuildError> {
    clear(projection, read).await?;
    let place = begin(projection, read).await?;
    let generation = place.generation;
    let builder = Arc::new(Builder::new(projection.clone(), place, read.clone(), logs, progress));
    builder.fill().await?;
    failpoint("rebuild-after-fill");
    builder.index().await?;
    builder.catch_up().await?;
    cutover::make_live(&builder).await?;
    failpoint("rebuild-after-cutover");
    builder.report(Phase::Live);
    Ok((generation, builder.done(), builder.left_out()))
}

/// A session that holds the lock of the rebuild. Taken out of its pool, so that it ends, and the lock with
/// it, when the rebuild is given up at whatever line.
async fn alone(
    projection: &Arc<dyn Projection>,
    read: &ReadSide,
) -> Result<deadpool_postgres::ClientWrapper, RebuildError> {
    let layout = projection.layout();
    let session = Object::take(read.pool.get().await?);
    let name = format!("rebuild of {}.{}", read.schema, layout.name);
    let sql = "select pg_try_advisory_lock(hashtextextended($1, 0))";
    let held: bool = session.query_one(sql, &[&name]).await?.get(0);
    if held { Ok(session) } else { Err(RebuildError::UnderWay(layout.name)) }
}

/// Drops what a killed rebuild left behind, and of the generations that were replaced all but the last,
/// which is there to go back to.
async fn clear(projection: &Arc<dyn Projection>, read: &ReadSide) -> Result<(), RebuildError> {
    let layout = projection.layout();
    let mut client = read.pool.get().await?;
    let tx = client.transaction().await?;
    lock(&tx, layout, read).await?;
    let sql = include_str!("rebuild/obsolete.sql").replace("{schema}", &read.schema);
    for row in tx.query(&sql, &[&layout.name, &layout.version]).await? {
        drop_generation(&tx, layout, &Place::new(read, row.get(0))).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn begin(projection: &Arc<dyn Projection>, read: &ReadSide) -> Result<Place, RebuildError> {
    let layout = projection.layout();
    let mut client = read.pool.get().await?;
    let tx = client.transaction().await?;
    lock(&tx, layout, read).await?;
    let place = add(&tx, layout, read, "building").await?;
    tx.commit().await?;
    Ok(place)
}
