use super::{FollowLimits, Source};
use crate::Recorded;
use crate::lane::chain_of;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// How events of a log reach this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// There is no Kafka, or it is out of reach: every partition is read from the log.
    Log,
    /// Kafka brings these partitions to this process, and the others to other processes.
    Kafka(BTreeSet<i32>),
}

/// One log, as the followers of this process are told of it. Shared by all of them.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    log: Source,
    live: broadcast::Sender<Arc<Recorded>>,
    shortcut: bool,
    transport: watch::Sender<Transport>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { log, shortcut, .. } = &*self.0;
        f.debug_struct("Feed").field("log", log.service()).field("shortcut", shortcut).finish()
    }
}

const POLL_BUSY: Duration = Duration::from_millis(100);
const POLL_IDLE: Duration = Duration::from_millis(250);
/// With Kafka the poll is the tail check: a lost last record makes no hole.
const POLL_TAIL: Duration = Duration::from_secs(1);

impl Feed {
    #[must_use]
    pub fn new(log: impl Into<Source>) -> Self {
        Self::limited(log, &FollowLimits::default())
    }

    /// The same with other bounds.
    #[must_use]
    pub fn limited(log: impl Into<Source>, limits: &FollowLimits) -> Self {
        let (log, buffer) = (log.into(), limits.buffer.max(1));
        let told = limits.shortcut.then(|| log.listen(buffer)).flatten();
        let shortcut = told.is_some();
        let live = told.unwrap_or_else(|| broadcast::Sender::new(buffer));
        let transport = watch::Sender::new(Transport::Log);
        Feed(Arc::new(Inner { log, live, shortcut, transport }))
    }

    #[must_use]
    pub fn log(&self) -> &Source {
        &self.0.log
    }

    /// Hands an event that Kafka brought to every follower of the log. Never waits: who is too slow misses
    /// it, sees the hole and reads the log.
    pub fn deliver(&self, event: Arc<Recorded>) {
        // Nobody may be following just now.
        let _ = self.0.live.send(event);
    }

    /// Whether the followers were told of an event before Kafka brought it: this process appended it.
    #[must_use]
    pub fn knows(&self, partition: i32, epoch: i32, offset: i64) -> bool {
        self.0.shortcut && self.0.log.knows(partition, epoch, offset)
    }

    /// Whether no follower of another process waits for Kafka to bring what this process appends.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        let all = usize::try_from(self.0.log.partitions()).unwrap_or(usize::MAX);
        self.0.shortcut
            && matches!(&*self.0.transport.borrow(), Transport::Kafka(own) if own.len() == all)
    }

    /// Events that the slowest follower has not taken over yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.live.len()
    }

    pub fn set_transport(&self, transport: Transport) {
        self.0.transport.send_if_modified(|now| {
            let changed = *now != transport;
            *now = transport;
            changed
        });
    }

    #[must_use]
    pub fn transport(&self) -> watch::Receiver<Transport> {
        self.0.transport.subscribe()
    }

    /// What the followers of this process are told, from now on. Whoever is too slow misses some.
    #[must_use]
    pub fn live(&self) -> broadcast::Receiver<Arc<Recorded>> {
        self.0.live.subscribe()
    }

    /// Looks for what other processes appended, until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let (mut pause, mut unread) = (POLL_BUSY, false);
        loop {
            let with_kafka = *self.0.transport.borrow() != Transport::Log;
            let heads = self.0.log.known_heads();
            let before = heads.borrow().clone();
            if with_kafka && self.0.log.heads_age() < POLL_TAIL {
                // The relay of this process has just looked.
                pause = POLL_TAIL;
            } else if let Err(error) = self.0.log.refresh_heads().await {
                // Once: a log that is elsewhere may be away for long.
                if !std::mem::replace(&mut unread, true) {
                    let error = chain_of(&error);
                    tracing::warn!(service = %self.0.log.service(), error, "the log's heads cannot be read");
                }
                pause = POLL_TAIL;
            } else if with_kafka {
                (pause, unread) = (POLL_TAIL, false);
            } else {
                let moves = before != *heads.borrow();
                pause = if moves { POLL_BUSY } else { (pause + POLL_BUSY / 4).min(POLL_IDLE) };
                unread = false;
            }
            let mut transport = self.transport();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                _ = transport.changed() => pause = POLL_BUSY,
            }
        }
    }
}
