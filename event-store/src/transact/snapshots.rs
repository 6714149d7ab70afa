//! Folded states that are kept beside the log, so that a long stream need not be folded from its first event on.
//! Nothing rests on them: what is missing, late, of another version or unreadable costs time alone.

mod writer;

use super::TransactLimits;
use super::folded::Folded;
use crate::{Log, Recorded, StoreError};
use decider::{Decider, Snapshot};
use std::io;
use tokio::sync::mpsc;
use writer::{Job, Writer};

/// The snapshots of a decider, in one process.
pub(super) struct Snapshots<D: Decider> {
    state_version: i32,
    write: fn(&D::State, &mut Bounded) -> serde_json::Result<()>,
    read: fn(&str) -> serde_json::Result<D::State>,
    events: i64,
    bytes: usize,
    queue: mpsc::Sender<Job>,
}

/// What was known of a stream when its last snapshot was taken.
#[derive(Clone, Copy, Default)]
pub(super) struct Taken {
    version: i64,
    /// The length of the snapshot.
    length: usize,
    /// The bytes folded until then.
    folded: usize,
}

/// What happens to snapshots, as a metric.
#[derive(Clone, Copy)]
enum Outcome {
    Written,
    /// Left out, because too many wait to be written.
    Full,
    TooLarge,
    /// The database could not be reached, or its event is no longer the log's.
    Failed,
    /// Not the JSON of a state; the stream is folded from its first event on.
    Unreadable,
}

impl Outcome {
    const ALL: [Outcome; 5] =
        [Outcome::Written, Outcome::Full, Outcome::TooLarge, Outcome::Failed, Outcome::Unreadable];

    fn count(self, category: &'static str, how_many: u64) {
        let outcome = match self {
            Outcome::Written => "written",
            Outcome::Full => "full",
            Outcome::TooLarge => "too-large",
            Outcome::Failed => "failed",
            Outcome::Unreadable => "unreadable",
        };
        let labels = [("category", category), ("outcome", outcome)];
        metrics::counter!("daybook_snapshots_total", &labels).increment(how_many);
    }
}

impl<D: Decider> Snapshots<D> {
    /// Starts the task that writes; it ends with the log or with the last of whoever sends to it.
    pub(super) fn start(log: &Log, limits: &TransactLimits) -> Self
    where
        D: Snapshot,
    {
        // What has not happened yet is shown as such.
        Outcome::ALL.into_iter().for_each(|outcome| outcome.count(D::CATEGORY, 0));
        let (queue, receive) = mpsc::channel(limits.snapshot_queue.max(1));
        log.spawn(|stop| Writer::new(log, D::CATEGORY, receive).run(stop));
        Snapshots {
            state_version: D::STATE_VERSION,
            write: |state, text| serde_json::to_writer(text, state),
            read: |text| serde_json::from_str(text),
            events: limits.snapshot_events.max(1),
            bytes: limits.snapshot_bytes,
            queue,
        }
    }

    /// Puts a stream's snapshot into `folded`, if there is one that holds; returns the first page of what is
    /// still to be folded.
    pub(super) async fn begin(
        &self,
        log: &Log,
        stream: &str,
        folded: &mut Folded<D>,
        page: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let (state, mut events) =
            log.read_from_snapshot(stream, self.state_version, page + 1).await?;
        let Some(text) = state else { return Ok(events) };
        match (self.read)(&text) {
            Ok(state) => {
                let last = events.remove(0);
                (folded.state, folded.bytes) = (state, text.len());
                folded.ends_at(&last);
                folded.taken =
                    Taken { version: last.version, length: text.len(), folded: text.len() };
                Ok(events)
            }
            Err(error) => {
                Outcome::Unreadable.count(D::CATEGORY, 1);
                tracing::warn!(stream, %error, "a snapshot cannot be read; the stream is folded anew");
                log.read_stream(stream, 0, page).await
            }
        }
    }

    /// Takes a snapshot, if one is due and there is room for it. Call it with what the log holds.
    pub(super) fn offer(&self, stream: &str, folded: &mut Folded<D>) {
        if !self.is_due(folded) {
            return;
        }
        let Ok(room) = self.queue.try_reserve() else {
            return Outcome::Full.count(D::CATEGORY, 1);
        };
        let mut text = Bounded { text: Vec::with_capacity(folded.taken.length), most: self.bytes };
        let written = (self.write)(&folded.state, &mut text);
        let length = text.text.len();
        folded.taken = Taken { version: folded.version, length, folded: folded.bytes };
        match written.map(|()| String::from_utf8(text.text)) {
            Ok(Ok(state)) => {
                // What was folded until now is held in this form, and needs no more room than that.
                (folded.bytes, folded.taken.folded) = (length, length);
                room.send(Job {
                    stream: stream.to_owned(),
                    state_version: self.state_version,
                    version: folded.version,
                    event_id: folded.event_id,
                    epoch: folded.epoch,
                    state,
                });
            }
            Err(error) if error.is_io() => Outcome::TooLarge.count(D::CATEGORY, 1),
            Err(_) | Ok(Err(_)) => {
                Outcome::Failed.count(D::CATEGORY, 1);
                tracing::warn!(stream, "the state has no form in JSON, so there is no snapshot");
            }
        }
    }

    /// After so many events, and no fewer bytes of them than the last snapshot had: a large state is not written
    /// again and again for the little that has changed of it.
    fn is_due(&self, folded: &Folded<D>) -> bool {
        let Taken { version, length, folded: before } = folded.taken;
        folded.version - version >= self.events && folded.bytes - before >= length
    }
}

/// A text that does not grow past a bound.
struct Bounded {
    text: Vec<u8>,
    most: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.text.len() + more.len() > self.most {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.text.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
