use crate::{Log, Recorded};
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
    log: Log,
    live: Vec<broadcast::Sender<Arc<Recorded>>>,
    transport: watch::Sender<Transport>,
}

/// Events of a partition that a slow follower may lag behind; past that it reads the log.
const BUFFER: usize = 4_096;
const POLL_BUSY: Duration = Duration::from_millis(100);
const POLL_IDLE: Duration = Duration::from_millis(250);
/// With Kafka the poll is the tail check: a lost last record makes no hole.
const POLL_TAIL: Duration = Duration::from_secs(1);

impl Feed {
    #[must_use]
    pub fn new(log: Log) -> Self {
        let live = (0..log.partitions()).map(|_| broadcast::Sender::new(BUFFER)).collect();
        Feed(Arc::new(Inner { log, live, transport: watch::Sender::new(Transport::Log) }))
    }

    #[must_use]
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// Hands an event that Kafka brought to every follower of the partition. Never waits: who is too
    /// slow misses it, sees the hole and reads the log.
    pub fn deliver(&self, event: Arc<Recorded>) {
        let partition = usize::try_from(event.partition).ok();
        if let Some(live) = partition.and_then(|p| self.0.live.get(p)) {
            // Nobody may be following just now.
            let _ = live.send(event);
        }
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

    pub(crate) fn live(&self, partition: i32) -> broadcast::Receiver<Arc<Recorded>> {
        self.0.live[crate::append::index(partition)].subscribe()
    }

    /// Looks for what other processes appended, until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = POLL_BUSY;
        loop {
            let before = self.heads();
            if let Err(error) = self.0.log.refresh_heads().await {
                tracing::warn!(service = %self.0.log.service(), %error, "the log's heads cannot be read");
                pause = POLL_TAIL;
            } else if *self.0.transport.borrow() != Transport::Log {
                pause = POLL_TAIL;
            } else if before == self.heads() {
                pause = (pause + POLL_BUSY / 4).min(POLL_IDLE);
            } else {
                pause = POLL_BUSY;
            }
            let mut transport = self.transport();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                _ = transport.changed() => pause = POLL_BUSY,
            }
        }
    }

    fn heads(&self) -> Vec<i64> {
        (0..self.0.log.partitions()).map(|p| *self.0.log.head(p).borrow()).collect()
    }
}
