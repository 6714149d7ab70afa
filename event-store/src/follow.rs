//! Anything that reads logs and keeps a checkpoint: a projection remembers, a reactor acts. One runner
//! serves both. A follower reads the log from its checkpoint to the head, then takes what Kafka brings;
//! without Kafka it is woken by the lanes of its process and by a poll of the heads.

mod checkpoint;
mod cursor;
mod feed;
mod locks;
mod marks;
mod parked;
mod post;
mod runner;
mod source;
mod work;
mod worker;

pub use checkpoint::{Checkpoint, Standing, Start, has_posted, standing, wait_until_posted};
pub use feed::{Feed, Transport};
pub use locks::{Lock, Locks};
pub use parked::{
    Aside, Parked, Spot, Stretch, Which, discard, discarded, parked, parked_in, parked_streams,
    retry,
};
pub use post::{Batch, Posted, post};
pub use runner::{FollowLimits, Runner, Stopped, is_worked};
pub use source::{Elsewhere, End, Owner, Source};
pub use worker::{LogWorker, Step, StepError};

use crate::{Database, DecodeError, Recorded, StoreError};
use async_trait::async_trait;
use deadpool_postgres::{Pool, Transaction};
use std::sync::Arc;

/// What follows logs.
#[async_trait]
pub trait Follower: Send + Sync + 'static {
    /// Names its checkpoints; unique in its read schema.
    fn name(&self) -> &str;

    /// The services whose logs it follows.
    fn logs(&self) -> Vec<String>;

    /// Where it starts when it has no checkpoint.
    fn start(&self) -> Start {
        Start::Beginning
    }

    /// Posts events of one log, partition by partition, those of each in order. Rows go through `tx`, in
    /// which the runner also writes the checkpoints; what is done elsewhere may be done again after a crash.
    ///
    /// # Errors
    /// See [`ApplyError`].
    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError>;

    /// Called after each commit: a place to wake somebody.
    fn committed(&self) {}

    /// The least time between two transactions of one log that are not full: who posts for people to read
    /// saves most of them under load, and the first event after a quiet time does not wait.
    fn pace(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// Why a batch was not posted.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A connection, a lock, a resource: the same batch is tried again for as long as it takes.
    #[error("{0}")]
    Transient(String),
    /// The event itself is the reason, and it will be next time too.
    #[error("{0}")]
    Poison(String),
    /// A newer binary wrote the event: this one must not go on, and loses nothing by waiting.
    #[error("{0}")]
    Unknown(String),
    /// Neither the moment nor the event, but the tables, the rights or the follower itself: the partition
    /// stands still until that is mended.
    #[error("{0}")]
    Broken(String),
}

impl From<tokio_postgres::Error> for ApplyError {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = crate::lane::chain_of(&error);
        if crate::error::transient(&error) {
            ApplyError::Transient(text)
        } else if crate::error::of_the_data(&error) {
            ApplyError::Poison(text)
        } else {
            ApplyError::Broken(text)
        }
    }
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        if let StoreError::Postgres(error) = error {
            return error.into();
        }
        let text = crate::lane::chain_of(&error);
        if error.is_transient() { ApplyError::Transient(text) } else { ApplyError::Poison(text) }
    }
}

impl From<DecodeError> for ApplyError {
    fn from(error: DecodeError) -> Self {
        let text = crate::lane::chain_of(&error);
        match error {
            DecodeError::Unknown { .. } | DecodeError::Outdated { .. } => ApplyError::Unknown(text),
            DecodeError::Malformed { .. } => ApplyError::Poison(text),
        }
    }
}

/// The generation of a follower that counts, of a row `p` that names one: of a projection only the live one, and
/// of several versions the newest. `{live}` in SQL.
const LIVE: &str = "coalesce(( \
       select g.generation from {schema}.generation g where g.projection = p.follower \
        order by g.state = 'live' desc, g.version desc limit 1), p.generation)";

/// Where a service's followers keep their rows, checkpoints and locks: its schema `<service>_read`.
#[derive(Clone)]
pub struct ReadSide {
    pub service: Arc<str>,
    pub schema: Arc<str>,
    /// For questions of any kind.
    pub pool: Pool,
    /// For what followers post and owe.
    pub posts: Pool,
    pub locks: Locks,
}

impl ReadSide {
    /// A statement for this schema.
    pub(crate) fn sql(&self, text: &str) -> String {
        text.replace("{live}", LIVE).replace("{schema}", &self.schema)
    }

    /// `size` connections of each kind. Their commits do not wait for the disk: rows and checkpoint are lost together
    /// or not at all, and are posted again.
    ///
    /// # Errors
    /// If the pool's settings are refused.
    pub fn open(database: &Database, service: &str, size: usize) -> Result<Self, StoreError> {
        Self::sized(database, service, (size, size))
    }

    /// So many connections for questions, and so many for followers.
    ///
    /// # Errors
    /// If the pool's settings are refused.
    pub fn sized(
        database: &Database,
        service: &str,
        (pool, posts): (usize, usize),
    ) -> Result<Self, StoreError> {
        let lazy = database.with_option("synchronous_commit=off");
        let posting = lazy.by_keys().brisk();
        let schema: Arc<str> = format!("{service}_read").into();
        Ok(ReadSide {
            service: service.into(),
            pool: lazy.pool(&format!("daybook query {service}"), pool)?,
            posts: posting.pool(&format!("daybook follow {service}"), posts)?,
            locks: Locks::new(database.clone(), schema.clone()),
            schema,
        })
    }
}
