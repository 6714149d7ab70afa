//! What the lanes of this process have just appended, handed to its own followers. They need neither wait for Kafka to
//! bring it, nor read it back: the log's end is in memory, where it was written.

use crate::append::index;
use crate::{Chain, ChainOutcome, Entry, Recorded, Verdict};
use chrono::{DateTime, Utc};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::broadcast;

/// The end of one log, as its lanes tell it. Clones share it.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Inner>);

struct Inner {
    service: Arc<str>,
    told: OnceLock<broadcast::Sender<Arc<Recorded>>>,
    /// By partition.
    ends: Mutex<Vec<End>>,
    /// How many connections the lanes have had, all together.
    sessions: AtomicU32,
}

/// Of what was told last.
#[derive(Clone, Copy, Default)]
struct End {
    epoch: i32,
    next: i64,
    /// How many connections there had been when it was appended.
    session: u32,
}

impl Tail {
    pub(crate) fn new(service: &str, partitions: u32) -> Self {
        let ends = Mutex::new((0..partitions).map(|_| End::default()).collect());
        Tail(Arc::new(Inner {
            service: service.into(),
            told: OnceLock::new(),
            ends,
            sessions: AtomicU32::new(0),
        }))
    }

    /// A lane has a new connection.
    pub(crate) fn begin_session(&self) {
        self.0.sessions.fetch_add(1, Ordering::SeqCst);
    }

    /// How many connections the lanes have had. Whoever appends asks before he does.
    pub(crate) fn sessions(&self) -> u32 {
        self.0.sessions.load(Ordering::SeqCst)
    }

    /// Where it is told from now on; `buffer` events at most wait for the slowest listener.
    pub(crate) fn listen(&self, buffer: usize) -> broadcast::Sender<Arc<Recorded>> {
        self.0.told.get_or_init(|| broadcast::Sender::new(buffer)).clone()
    }

    /// Whether an event was told, or one behind it: then whoever misses it sees a hole, and reads the log.
    pub(crate) fn knows(&self, partition: i32, epoch: i32, offset: i64) -> bool {
        let last = self.ends()[index(partition)];
        epoch == last.epoch && offset < last.next
    }

    /// How many connections the lanes had had when that was appended which was told last of a partition. Before a new one
    /// the log may have been restored, and may count an epoch again that it has lost: so whoever is told must look.
    pub(crate) fn session(&self, partition: i32) -> u32 {
        self.ends()[index(partition)].session
    }

    /// Whether anybody listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.told.get().is_some_and(|told| told.receiver_count() > 0)
    }

    /// Tells what of a chain is in the log since just now.
    pub(crate) fn tell(&self, chain: Chain, outcome: &ChainOutcome, session: u32) {
        let Some((told, at)) = self.0.told.get().zip(outcome.recorded_at) else { return };
        let Chain { stream, entries, .. } = chain;
        for (entry, verdict) in entries.into_iter().zip(&outcome.verdicts) {
            let &Verdict::Ok { version, offset } = verdict else { continue };
            for event in self.recorded(&stream, entry, (version, offset), outcome, at) {
                let end = End { epoch: event.epoch, next: event.offset + 1, session };
                self.ends()[index(outcome.partition)] = end;
                // Who listens may have gone just now.
                let _ = told.send(Arc::new(event));
            }
        }
    }

    fn recorded(
        &self,
        stream: &str,
        entry: Entry,
        (version, offset): (i64, i64),
        outcome: &ChainOutcome,
        recorded_at: DateTime<Utc>,
    ) -> impl Iterator<Item = Recorded> {
        let Entry { command_id, events } = entry;
        events.into_iter().zip(0..).map(move |(event, ordinal)| Recorded {
            service: self.0.service.clone(),
            partition: outcome.partition,
            epoch: outcome.epoch,
            offset: offset + i64::from(ordinal),
            stream: stream.to_owned(),
            version: version + i64::from(ordinal),
            event_id: event.event_id,
            command_id,
            ordinal,
            event_type: event.event_type.to_owned(),
            schema_version: event.schema_version,
            payload: event.payload,
            metadata: event.metadata.metadata,
            occurred_at: event.occurred_at,
            recorded_at,
        })
    }

    fn ends(&self) -> MutexGuard<'_, Vec<End>> {
        self.0.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
