use super::feed::{Feed, Transport};
use super::{ApplyError, Checkpoint, Follower, Posted, ReadSide, post};
use crate::{Recorded, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

/// Works one partition of one log for one follower.
pub struct PartitionWorker {
    pub(super) follower: Arc<dyn Follower>,
    pub(super) generation: i32,
    pub(super) read: ReadSide,
    pub(super) feed: Feed,
    pub(super) partition: i32,
    checkpoint: Option<Checkpoint>,
    overtaken: bool,
    /// What Kafka brought and is not posted yet, in order.
    brought: VecDeque<Arc<Recorded>>,
    /// Whether the log must be read: at the start, at a hole, when Kafka is late.
    behind: bool,
    /// Where Kafka is awaited, and since when: duplicates that it brings meanwhile do not make it punctual.
    late: Option<(i64, Instant)>,
    /// After a failure events are posted one by one, so that only the culprit is held up.
    singly: usize,
}

/// What a step did.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Posted(usize),
    Idle,
    /// Another instance works this partition.
    LetGo,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(
        "the checkpoint of `{follower}` at {service}/{partition}@{epoch}:{offset} names an event that the log \
         does not hold there: the log lost its tail after it was posted; rebuild it: `daybook rebuild {follower}`"
    )]
    Invalid { follower: String, service: String, partition: i32, epoch: i32, offset: i64 },
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        StepError::Apply(error.into())
    }
}

/// Events in one transaction.
const BATCH: usize = 1_000;
/// How long Kafka may take to bring what this process knows to be in the log.
const GRACE: Duration = Duration::from_millis(200);

impl PartitionWorker {
    #[must_use]
    pub fn new(
        follower: Arc<dyn Follower>,
        generation: i32,
        read: ReadSide,
        feed: Feed,
        partition: i32,
    ) -> Self {
        let (checkpoint, brought, late) = (None, VecDeque::new(), None);
        let (overtaken, behind, singly) = (false, true, 0);
        PartitionWorker {
            follower,
            generation,
            read,
            feed,
            partition,
            checkpoint,
            overtaken,
            brought,
            behind,
            late,
            singly,
        }
    }

    /// Forgets what it knows: the next step loads the checkpoint and reads the log.
    pub fn restart(&mut self) {
        self.checkpoint = None;
        self.overtaken = false;
        self.behind = true;
        self.brought.clear();
    }

    /// Posts the next batch, if there is one.
    ///
    /// # Errors
    /// See [`StepError`]; the step may be tried again.
    pub async fn try_step(&mut self) -> Result<Outcome, StepError> {
        let from = match self.checkpoint.clone() {
            Some(checkpoint) => checkpoint,
            None => self.load().await?,
        };
        let mut batch = self.next(&from).await?;
        if batch.is_empty() {
            return Ok(Outcome::Idle);
        }
        if batch.first().is_some_and(|event| event.epoch != from.epoch) {
            // Should that fail, what Kafka brought is gone.
            self.behind = true;
            self.check(&from).await?;
        }
        if self.singly > 0 {
            batch.truncate(1);
        }
        let posted = post(&self.read, &*self.follower, self.generation, &from, &batch).await;
        match posted {
            Ok(Posted::At(checkpoint)) => {
                self.checkpoint = Some(checkpoint);
                self.overtaken = false;
                self.singly = self.singly.saturating_sub(1);
                Ok(Outcome::Posted(batch.len()))
            }
            // The new owner may have read just before the old one's last commit: once is no proof.
            Ok(Posted::Overtaken) if !self.overtaken => {
                self.restart();
                self.overtaken = true;
                Ok(Outcome::Posted(0))
            }
            Ok(Posted::Overtaken) => {
                self.restart();
                Ok(Outcome::LetGo)
            }
            Err(error) => {
                self.behind = true;
                self.brought.clear();
                if matches!(error, ApplyError::Poison(_) | ApplyError::Unknown(_))
                    && self.singly == 0
                {
                    self.singly = batch.len();
                    if batch.len() > 1 {
                        return Ok(Outcome::Posted(0));
                    }
                }
                Err(error.into())
            }
        }
    }

    async fn load(&mut self) -> Result<Checkpoint, StepError> {
        let log = self.feed.log();
        let checkpoint =
            Checkpoint::load(&self.read, &*self.follower, self.generation, log, self.partition)
                .await?;
        self.check(&checkpoint).await?;
        self.checkpoint = Some(checkpoint.clone());
        Ok(checkpoint)
    }

    /// Refuses to go on from an event that the log has lost: at the start, and where a new epoch begins,
    /// because a log may lose its tail under a follower that runs.
    async fn check(&mut self, checkpoint: &Checkpoint) -> Result<(), StepError> {
        let log = self.feed.log();
        if checkpoint.is_valid(log, self.partition).await? {
            return Ok(());
        }
        let invalid = StepError::Invalid {
            follower: self.follower.name().to_owned(),
            service: log.service().to_string(),
            partition: self.partition,
            epoch: checkpoint.epoch,
            offset: checkpoint.next_offset,
        };
        self.restart();
        Err(invalid)
    }

    /// Below the checkpoint, or of an epoch before it: skip. Equal: take. Above: a hole, read it from the
    /// log. What Kafka brought is taken up to the end of its epoch, where the checkpoint is checked.
    async fn next(&mut self, from: &Checkpoint) -> Result<Vec<Arc<Recorded>>, StoreError> {
        let past = |e: &Arc<Recorded>| e.offset < from.next_offset || e.epoch < from.epoch;
        while self.brought.front().is_some_and(past) {
            self.brought.pop_front();
        }
        if let Some(first) = self.brought.front().filter(|e| e.offset == from.next_offset) {
            let epoch = first.epoch;
            let follows =
                |(at, event): &(i64, &Arc<Recorded>)| event.offset == *at && event.epoch == epoch;
            let run = (from.next_offset..).zip(&self.brought).take(BATCH).take_while(follows);
            let run = run.count();
            return Ok(self.brought.drain(..run).collect());
        }
        if !self.behind && self.brought.is_empty() {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let page = self.feed.log().read_partition(self.partition, from.next_offset, limit).await?;
        self.behind = page.len() == BATCH;
        if page.is_empty() {
            // The log has lost what Kafka brought; what takes its place comes again.
            self.brought.clear();
        }
        metrics::counter!("daybook_follower_log_reads_total", "follower" => self.follower.name().to_owned())
            .increment(1);
        Ok(page.into_iter().map(Arc::new).collect())
    }

    fn next_offset(&self) -> i64 {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.next_offset)
    }

    /// Waits until there may be something to do.
    pub(super) async fn wait(
        &mut self,
        live: &mut broadcast::Receiver<Arc<Recorded>>,
        head: &mut watch::Receiver<i64>,
    ) {
        let mut transport = self.feed.transport();
        loop {
            let next = self.next_offset();
            if *head.borrow_and_update() <= next {
                self.late = None;
            } else if *transport.borrow() == Transport::Log {
                self.behind = true;
                return;
            } else if self.late.is_none_or(|(at, _)| at != next) {
                self.late = Some((next, Instant::now()));
            }
            let at = self.late.map_or_else(Instant::now, |(_, since)| since + GRACE);
            tokio::select! {
                brought = live.recv() => {
                    self.take(brought, live);
                    return;
                }
                _ = head.changed() => {}
                () = tokio::time::sleep_until(at), if self.late.is_some() => {
                    self.late = None;
                    self.behind = true;
                    return;
                }
                _ = transport.changed() => {
                    self.behind = true;
                    return;
                }
            }
        }
    }

    fn take(
        &mut self,
        mut brought: Result<Arc<Recorded>, broadcast::error::RecvError>,
        live: &mut broadcast::Receiver<Arc<Recorded>>,
    ) {
        loop {
            match brought {
                Ok(event) => self.brought.push_back(event),
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return,
            }
            brought = match live.try_recv() {
                Ok(event) => Ok(event),
                Err(broadcast::error::TryRecvError::Lagged(n)) => {
                    Err(broadcast::error::RecvError::Lagged(n))
                }
                Err(_) => return,
            };
            if self.brought.len() > 4 * BATCH {
                return;
            }
        }
    }

    /// How many events the log holds that are not posted.
    pub(super) fn lag(&self) -> i64 {
        (*self.feed.log().head(self.partition).borrow() - self.next_offset()).max(0)
    }
}
