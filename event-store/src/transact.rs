//! The one write path: fold, decide, append at the version read. Commands for one stream in one process
//! queue behind each other, are decided in turn on the folded state in memory and appended as one chain:
//! one product in a flash sale is a queue, not a storm of conflicts.

mod decide;
mod drive;
mod folded;
mod snapshots;

use crate::{AppendError, DecodeError, Log, Metadata, Position, StoreError};
use chrono::{DateTime, Utc};
use decider::{Decider, Snapshot};
use folded::{Folded, Weight};
use quick_cache::sync::Cache;
use snapshots::Snapshots;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use uuid::Uuid;

/// What comes with a command and is no part of the intention itself.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Sent twice, the command happens once.
    pub command_id: Uuid,
    /// Of what the client sent: the same command id with another one is refused.
    pub fingerprint: Option<String>,
    pub occurred_at: DateTime<Utc>,
    pub metadata: Metadata,
    /// The version that the stream must have, if the caller asks for one.
    pub expected_version: Option<i64>,
}

impl Envelope {
    /// Of a command that nothing else set in motion: its id is its correlation.
    #[must_use]
    pub fn new(command_id: Uuid, occurred_at: DateTime<Utc>) -> Self {
        let correlation = command_id.to_string();
        let metadata = Metadata { correlation, ..Metadata::default() };
        Envelope { command_id, fingerprint: None, occurred_at, metadata, expected_version: None }
    }
}

/// The answer to a command: what it appended, the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub stream: String,
    /// Of the command's last event; of the stream, if it appended nothing.
    pub version: i64,
    /// The types of the command's events.
    pub events: Vec<String>,
    /// Of the command's last event; of the stream's last, if it appended nothing.
    pub position: Option<Position>,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum TransactError<R: std::error::Error> {
    #[error("refused: {rejection}")]
    Rejected { rejection: R, position: Option<Position> },
    #[error("this command id was used before with another body")]
    OtherBody,
    #[error("the stream is at version {actual}")]
    WrongVersion { actual: i64 },
    #[error("too much is queued for this stream or this process; try again later")]
    Busy,
    #[error("the outcome is unknown; send the same command with the same id again")]
    OutcomeUnknown,
    #[error("an event of {size} bytes is larger than the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("postgres refused the data: {0}")]
    Data(String),
    #[error(
        "a newer binary wrote `{event_type}` in schema version {schema_version} to the stream; \
         it decides here, and this one cannot"
    )]
    Newer { event_type: String, schema_version: i32 },
    #[error("the log cannot be read or written: {0}")]
    Store(String),
}

/// Bounds of a [`Transactor`].
#[derive(Clone, Debug)]
pub struct TransactLimits {
    /// Bytes of folded states kept in memory, by the payloads that were folded.
    pub cache_bytes: u64,
    /// Commands that may wait for one stream.
    pub stream_queue: usize,
    /// Commands that may wait in all.
    pub queue: usize,
    /// Commands in one chain.
    pub chain: usize,
    /// How often a conflict with another process is decided again.
    pub conflicts: u32,
    /// Events of a stream from one snapshot to the next, at least.
    pub snapshot_events: i64,
    /// Bytes of the largest snapshot; of a larger state there is none.
    pub snapshot_bytes: usize,
    /// Snapshots that may wait to be written; more are left out.
    pub snapshot_queue: usize,
}

impl Default for TransactLimits {
    fn default() -> Self {
        TransactLimits {
            cache_bytes: 64 << 20,
            stream_queue: 5_000,
            queue: 20_000,
            chain: 256,
            conflicts: 50,
            snapshot_events: 1_000,
            snapshot_bytes: 4 << 20,
            snapshot_queue: 8,
        }
    }
}

/// The write path of one decider in one process. Clones share their queues and their cache.
pub struct Transactor<D: Decider>(Arc<Inner<D>>);

impl<D: Decider> Clone for Transactor<D> {
    fn clone(&self) -> Self {
        Transactor(self.0.clone())
    }
}

struct Inner<D: Decider> {
    log: Log,
    limits: TransactLimits,
    cache: Cache<String, Folded<D>, Weight>,
    queues: Mutex<HashMap<String, VecDeque<Waiting<D>>>>,
    queued: AtomicUsize,
    snapshots: Option<Snapshots<D>>,
}

type Answer<D> = Result<Done, TransactError<<D as Decider>::Rejection>>;

struct Waiting<D: Decider> {
    command: D::Command,
    envelope: Envelope,
    answer: oneshot::Sender<Answer<D>>,
}

/// The id of an event: the same for the same stream, command and ordinal.
#[must_use]
pub fn event_id(stream: &str, command_id: Uuid, ordinal: i32) -> Uuid {
    Uuid::new_v5(&command_id, format!("{stream}#{ordinal}").as_bytes())
}

impl<D: Decider> Transactor<D> {
    /// Every stream is folded from its first event on.
    #[must_use]
    pub fn new(log: Log, limits: TransactLimits) -> Self {
        Self::of(log, limits, None)
    }

    /// A stream that is not in memory is folded from its last snapshot on, if it has one that holds. They are
    /// written in the background, and not at all rather than in the way of a command. Call it in a runtime of tokio.
    #[must_use]
    pub fn with_snapshots(log: Log, limits: TransactLimits) -> Self
    where
        D: Snapshot,
    {
        let snapshots = Snapshots::start(&log, &limits);
        Self::of(log, limits, Some(snapshots))
    }

    fn of(log: Log, limits: TransactLimits, snapshots: Option<Snapshots<D>>) -> Self {
        // What has not happened yet is shown as such.
        metrics::counter!("daybook_transact_conflicts_total").increment(0);
        crate::turn::count(0, 0);
        let cache = folded::cache(limits.cache_bytes, Weight);
        let (queues, queued) = (Mutex::default(), AtomicUsize::new(0));
        Transactor(Arc::new(Inner { log, limits, cache, queues, queued, snapshots }))
    }

    #[must_use]
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// Commands that wait, and bytes of the states that are kept.
    #[must_use]
    pub fn load(&self) -> (usize, u64) {
        (self.0.queued.load(Ordering::Relaxed), self.0.cache.weight())
    }

    /// Decides a command and appends what it decided. The answer comes after the commit, a rejection's
    /// too. Once called the command goes on even if the caller goes away.
    ///
    /// # Errors
    /// See [`TransactError`]. After `OutcomeUnknown` the same command id may be sent again.
    pub async fn transact(
        &self,
        stream: &str,
        command: D::Command,
        envelope: Envelope,
    ) -> Result<Done, TransactError<D::Rejection>> {
        let (answer, receive) = oneshot::channel();
        self.enqueue(stream, Waiting { command, envelope, answer })?;
        receive.await.unwrap_or(Err(TransactError::OutcomeUnknown))
    }

    fn enqueue(
        &self,
        stream: &str,
        waiting: Waiting<D>,
    ) -> Result<(), TransactError<D::Rejection>> {
        let inner = &self.0;
        if inner.queued.load(Ordering::Relaxed) >= inner.limits.queue {
            return Err(TransactError::Busy);
        }
        let mut queues = inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get_mut(stream) {
            if queue.len() >= inner.limits.stream_queue {
                return Err(TransactError::Busy);
            }
            queue.push_back(waiting);
        } else {
            queues.insert(stream.to_owned(), VecDeque::from([waiting]));
            tokio::spawn(drive::drive(self.0.clone(), stream.to_owned()));
        }
        inner.queued.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The first answer to a command that is in the log already; none if it is not.
    ///
    /// # Errors
    /// `OtherBody` if it had another fingerprint, `Store` if the log cannot be read.
    pub async fn answered(
        &self,
        stream: &str,
        command_id: Uuid,
        fingerprint: Option<&str>,
    ) -> Result<Option<Done>, TransactError<D::Rejection>> {
        let found = self.0.log.find_command(stream, command_id).await.map_err(unreadable)?;
        let Some((version, stored)) = found else { return Ok(None) };
        self.0.receipt(stream, command_id, version, stored.as_deref(), fingerprint).await.map(Some)
    }

    /// The state of a stream as the log has it, and its version.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn state(&self, stream: &str) -> Result<(D::State, i64), StoreError> {
        let folded = self.0.load(stream).await?;
        Ok((folded.state, folded.version))
    }
}

pub(crate) fn unreadable<R: std::error::Error>(error: StoreError) -> TransactError<R> {
    if let StoreError::Undecodable { source, .. } = &error
        && let DecodeError::Unknown { event_type, schema_version } = source
    {
        let (event_type, schema_version) = (event_type.clone(), *schema_version);
        return TransactError::Newer { event_type, schema_version };
    }
    TransactError::Store(crate::lane::chain_of(&error))
}

impl<R: std::error::Error> From<AppendError> for TransactError<R> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full => TransactError::Busy,
            AppendError::Closed | AppendError::Epoch => TransactError::OutcomeUnknown,
            AppendError::TooLarge { size, limit } => TransactError::TooLarge { size, limit },
            AppendError::Data(why) => TransactError::Data(why),
            AppendError::Statement(why) | AppendError::Away(why) => TransactError::Store(why),
        }
    }
}
