//! A new generation of a projection, built from the log beside the live one, which keeps following; when it
//! has caught up and holds the same rows it becomes the live one. The log is only read, and whoever is killed at any
//! line leaves the live generation as it was.

mod work;
mod aside;
mod builder;
mod gentle;
mod patience;
mod cutover;
mod verify;

pub use work::Work;

use crate::Place;
use crate::compare::Compared;
use event_store::failpoint::failpoint;
use event_store::follow::{ApplyError, is_worked};
use event_store::{Position, StoreError};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use verify::Verdict;

/// What a rebuild is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Posting what the log held at the start.
    Filling,
    /// Making the indexes.
    Indexing,
    /// Posting what came meanwhile.
    CatchingUp,
    /// Comparing its rows with those of the live generation.
    Verifying,
    /// Posting everything a second time, because the live generation cannot be compared with.
    Replaying,
    /// The new generation is the live one.
    Live,
}

/// How far a rebuild is.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    pub projection: &'static str,
    pub phase: Phase,
    /// Of events those posted, of those that the logs held at the start, and more when more came meanwhile; of pages
    /// those of both generations whose rows were looked at.
    pub done: u64,
    pub total: u64,
    pub of: Unit,
    /// So many a second: events since the start, pages since their comparison began.
    pub rate: f64,
    /// Seconds until this phase has done all, at that rate; none while nobody knows.
    pub left_s: Option<f64>,
    /// Whether it stands back for the live followers.
    pub stands_back: bool,
    /// Why the owner of a log elsewhere does not answer, if it waits for him.
    pub waits: Option<String>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Events,
    Pages,
}

/// So much of so much of something, since then.
struct Done {
    done: u64,
    total: u64,
    of: Unit,
    began: Instant,
}

impl Progress {
    fn of(
        projection: &'static str,
        phase: Phase,
        (stands_back, waits): (bool, Option<String>),
        done: &Done,
    ) -> Self {
        let Done { done, total, of, began } = *done;
        let total = total.max(done);
        let rate = done as f64 / began.elapsed().as_secs_f64().max(1e-9);
        // While indexes are made nothing is counted.
        let is_known = done > 0 && phase != Phase::Indexing;
        let left_s = is_known.then(|| (total - done) as f64 / rate);
        Progress { projection, phase, done, total, of, rate, left_s, stands_back, waits }
    }
}

/// Who is told how far it is.
pub type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// How a new generation is looked at before it becomes the live one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// It must hold the rows of the live one.
    #[default]
    Verify,
    /// The rows that differ are named, and it becomes the live one all the same: somebody knows that the old rows
    /// are wrong.
    Accept,
    /// It is not looked at.
    Trust,
}

/// A rebuild whose generation is live.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt {
    pub projection: &'static str,
    pub generation: i32,
    pub events: u64,
    /// Of these, what somebody had discarded.
    pub left_out: u64,
    /// Of these, what could not be posted, and what is behind it in its stream.
    pub parked: u64,
    /// Until it was compared, and with the comparison.
    #[serde(rename = "built_s", serialize_with = "seconds")]
    pub built: Duration,
    #[serde(rename = "took_s", serialize_with = "seconds")]
    pub took: Duration,
    pub verified: Verified,
}

/// What speaks for the rows of a new generation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Verified {
    /// The live rows at the same positions are the same.
    Live { compared: Compared },
    /// A second replay gave the same rows, which shows no more than that the fold gives the same each time. What
    /// changed against the live rows of another version, or why that is not known.
    Replay {
        shows: &'static str,
        compared: Compared,
        against: Option<i32>,
        changes: Option<Compared>,
        #[serde(skip_serializing_if = "Option::is_none")]
        changes_unknown: Option<String>,
    },
    /// Its rows differ from the live ones, and somebody wanted it all the same.
    Accepted { compared: Compared },
    /// Nobody wanted it to be verified.
    Nothing,
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// Why the live generation is still the old one, if it is not said to be another.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("`{0}` is being rebuilt or verified by another process")]
    UnderWay(&'static str),
    #[error("`{projection}` is posted from the log of `{service}`, which is not open here")]
    NoLog { projection: &'static str, service: &'static str },
    #[error("an event cannot be posted")]
    Apply(#[from] ApplyError),
    #[error("{position} of `{stream}` cannot be posted")]
    Event { position: Position, stream: String, source: ApplyError },
    #[error(
        "more than {most} events of one partition cannot be posted, the next one of them is {position} of `{stream}`"
    )]
    TooManyParked { most: usize, position: Position, stream: String, source: ApplyError },
    #[error("the database is out of reach, or refused")]
    Store(#[from] StoreError),
    #[error("another process posted into the new generation, or dropped it")]
    Overtaken,
    #[error("a task of the rebuild ended early")]
    Task(#[from] tokio::task::JoinError),
    #[error("{} rows are not what the log says{}", .0.differing(), more(.0))]
    Differs(Box<Compared>),
    #[error("a second replay gave {} other rows: the fold does not give the same each time", .0.differing())]
    Unsteady(Box<Compared>),
    #[error("`{0}` has no live generation of this binary's version")]
    NotLive(&'static str),
    #[error("`{0}` has no old generation of this binary's version to go back to")]
    NothingOld(&'static str),
    #[error("`{0}` has no generation {1}; see `daybook generations list`")]
    NoSuch(&'static str, i32),
    #[error(
        "generation {1} of `{0}` is the live one; a rebuild or a rollback makes another one live"
    )]
    IsLive(&'static str, i32),
    #[error(
        "generation {1} of `{0}` is followed by a process, of another version of the program perhaps"
    )]
    IsFollowed(&'static str, i32),
    #[error("generation {1} of `{0}` is of a newer version of the program, which knows its tables")]
    Newer(&'static str, i32),
    #[error(
        "the old generation of `{0}` has parked events, which nobody would post in their order; rebuild it instead"
    )]
    OldParked(&'static str),
    #[error(
        "the live rows of `{0}` are not at a place of the log: it lost its tail after they were posted, or they are \
         posted by nobody; rebuild it"
    )]
    NowhereNear(&'static str),
    /// Neither that the old generation is the live one can be said, nor that the new one is.
    #[error(
        "the connection was lost while generation {generation} of `{projection}` was made the live one, and whether \
         it is could not be found out"
    )]
    Unknown {
        projection: &'static str,
        generation: i32,
        #[source]
        why: StoreError,
    },
    #[error("it was stopped")]
    Stopped(Left),
}

/// What there is after somebody stopped a rebuild or a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// What it built is dropped, and what was live is.
    Nothing,
    /// It was stopped too late: this generation is live.
    Live(i32),
    /// Why what it built could not be dropped at once. The next one does that.
    Unknown(String),
}

/// What else differs.
fn more(compared: &Compared) -> &'static str {
    if compared.differing() == 0 && !compared.is_same() {
        ", but their columns are others, or the live ones hold what cannot be posted again"
    } else {
        ""
    }
}

impl RebuildError {
    /// The rows that differ, if that is why.
    #[must_use]
    pub fn compared(&self) -> Option<&Compared> {
        if let RebuildError::Differs(compared) | RebuildError::Unsteady(compared) = self {
            return Some(compared);
        }
        None
    }

    /// Whether it was refused, and not tried in vain.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            RebuildError::UnderWay(_)
                | RebuildError::Differs(_)
                | RebuildError::Unsteady(_)
                | RebuildError::NotLive(_)
                | RebuildError::NothingOld(_)
                | RebuildError::NowhereNear(_)
                | RebuildError::NoSuch(..)
                | RebuildError::IsLive(..)
                | RebuildError::IsFollowed(..)
                | RebuildError::Newer(..)
                | RebuildError::OldParked(_)
        )
    }
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
/// which take it on within a second, and without any.
///
/// # Errors
/// See [`RebuildError`]; the live generation is then the same as before.
pub async fn rebuild(work: &Work<'_>, check: Check) -> Result<Rebuilt, RebuildError> {
    let began = Instant::now();
    work.alone(async |logs| {
        work.clear().await?;
        work.clear_old().await?;
        let builder = work.build(logs, began, check).await?;
        let built = began.elapsed();
        let verified = match check {
            Check::Trust => Verified::Nothing,
            Check::Verify | Check::Accept => match verify::verify(work, &builder).await? {
                Verdict::Verified(verified) => verified,
                Verdict::Differs(compared) if check == Check::Accept => {
                    Verified::Accepted { compared }
                }
                Verdict::Differs(compared) => {
                    work.drop(&builder.place).await?;
                    return Err(RebuildError::Differs(Box::new(compared)));
                }
            },
        };
        failpoint("rebuild-after-verify");
        // It took its time, and the live generation went on.
        builder.stops_exactly(false);
        builder.catch_up().await?;
        cutover::make_live(&builder).await?;
        failpoint("rebuild-after-cutover");
        builder.report(Phase::Live);
        Ok(Rebuilt {
            projection: builder.layout().name,
            generation: builder.place.generation,
            events: builder.done(),
            left_out: builder.left_out(),
            parked: builder.parked(),
            built,
            took: began.elapsed(),
            verified,
        })
    })
    .await
}

/// Compares the live rows with a replay at the same place of each log, and leaves nothing behind.
///
/// # Errors
/// See [`RebuildError`]; `Differs` is no error here but the answer.
pub async fn verify(work: &Work<'_>) -> Result<Compared, RebuildError> {
    let began = Instant::now();
    work.alone(async |logs| {
        work.clear().await?;
        let place = work.begin().await?;
        let compared = async {
            let builder = Arc::new(work.builder(place.clone(), logs, began).await?);
            builder.stops_exactly(true);
            builder.fill().await?;
            builder.catch_up().await?;
            verify::against_live(&builder).await
        };
        let compared = compared.await;
        work.drop(&place).await?;
        compared
    })
    .await
}

/// Makes the generation that was live before the live one again, once it has posted all that the live one has.
///
/// # Errors
/// See [`RebuildError`]; the live generation is then the same as before.
pub async fn roll_back(work: &Work<'_>) -> Result<i32, RebuildError> {
    work.alone(async |logs| {
        let layout = work.projection.layout();
        let client = work.read.pool.get().await?;
        let sql = include_str!("rebuild/last_old.sql").replace("{schema}", &work.read.schema);
        let row = client.query_opt(&sql, &[&layout.name, &layout.version]).await?;
        drop(client);
        let row = row.ok_or(RebuildError::NothingOld(layout.name))?;
        if row.get(1) {
            return Err(RebuildError::OldParked(layout.name));
        }
        let place = Place::new(work.read, row.get(0));
        let builder = Arc::new(work.builder(place, logs, Instant::now()).await?);
        builder.catch_up().await?;
        cutover::make_live(&builder).await?;
        builder.report(Phase::Live);
        Ok(builder.place.generation)
    })
    .await
}

/// Drops a generation that nobody needs any more.
///
/// # Errors
/// See [`RebuildError`]; nothing is dropped then.
pub async fn drop_one(work: &Work<'_>, generation: i32) -> Result<(), RebuildError> {
    work.alone(async |logs| {
        let (layout, read) = (work.projection.layout(), work.read);
        let client = read.pool.get().await?;
        let sql = include_str!("rebuild/find.sql").replace("{schema}", &read.schema);
        let row = client.query_opt(&sql, &[&layout.name, &generation]).await?;
        drop(client);
        let row = row.ok_or(RebuildError::NoSuch(layout.name, generation))?;
        let (version, is_live): (i32, bool) = (row.get(0), row.get(1));
        if layout.version < version {
            return Err(RebuildError::Newer(layout.name, generation));
        }
        if is_live && version == layout.version {
            return Err(RebuildError::IsLive(layout.name, generation));
        }
        for log in logs {
            for partition in 0..log.partitions() {
                if is_worked(read, layout.name, generation, log.service(), partition).await? {
                    return Err(RebuildError::IsFollowed(layout.name, generation));
                }
            }
        }
        work.drop(&Place::new(read, generation)).await
    })
    .await
}
