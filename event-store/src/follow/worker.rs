use super::cursor::{Cursor, Ends, Failed, Life, Prospect};
use super::feed::{Feed, Transport};
use super::marks::Mark;
use super::{ApplyError, Batch, FollowLimits, Follower, Posted, ReadSide, Source, post};
use crate::append::index;
use crate::{Recorded, Rest, Stepped, StoreError};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout};

/// Works those partitions of one log that this process holds, for one follower. What has come for all of
/// them is posted in one transaction: under load each costs the same whether it posts one event or many.
pub struct LogWorker {
    ends: Ends,
    cursors: BTreeMap<i32, Cursor>,
    live: broadcast::Receiver<Arc<Recorded>>,
    heads: watch::Receiver<Vec<i64>>,
    pub(super) transport: watch::Receiver<Transport>,
    /// Events of one partition that the next step takes.
    most: usize,
}

/// What a step did.
#[derive(Debug, Default)]
pub struct Step {
    /// Events.
    pub posted: usize,
    /// When the log took the oldest of them.
    pub oldest: Option<DateTime<Utc>>,
    /// Partitions that another instance works.
    pub let_go: Vec<i32>,
    /// Each is tried again after a pause, and holds up no other.
    pub failed: Vec<(i32, StepError)>,
}

/// Why a step failed for a partition.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(
        "the checkpoint of `{follower}` at {service}/{partition}@{epoch}:{offset} names an event that the log \
         does not hold there: the log lost its tail after it was posted; rebuild it: `daybook rebuild {follower}`"
    )]
    Invalid { follower: String, service: String, partition: i32, epoch: i32, offset: i64 },
    #[error(
        "{most} events are parked already, and the next one would have to be too; see `daybook parked list`"
    )]
    TooManyParked { most: usize },
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        StepError::Apply(error.into())
    }
}

impl LogWorker {
    #[must_use]
    pub fn new(
        follower: Arc<dyn Follower>,
        generation: i32,
        read: ReadSide,
        feed: Feed,
        limits: FollowLimits,
    ) -> Self {
        let (live, heads, transport) = (feed.live(), feed.log().known_heads(), feed.transport());
        let ends = Ends { follower, generation, read, feed, limits };
        let most = ends.limits.batch;
        LogWorker { ends, cursors: BTreeMap::new(), live, heads, transport, most }
    }

    #[must_use]
    pub fn follower(&self) -> &dyn Follower {
        &*self.ends.follower
    }

    /// Begins to work a partition from its checkpoint.
    pub fn hold(&mut self, partition: i32) {
        self.cursors.insert(partition, Cursor::new(partition, &self.ends.limits));
    }

    pub fn let_go(&mut self, partition: i32) {
        self.cursors.remove(&partition);
    }

    /// Posts what there is, a batch of each partition at most.
    pub async fn try_step(&mut self) -> Step {
        let mut step = Step::default();
        let ready = self.ready();
        let ends = &self.ends;
        let most = ends.limits.pace.next_most(self.most, ends.limits.batch);
        self.most = most;
        let cursors = self.cursors.values_mut().filter(|cursor| ready.contains(&cursor.partition));
        let next = cursors.map(async |cursor| {
            let next = timeout(ends.limits.call_timeout, cursor.next(most, ends)).await;
            (next.unwrap_or(Err(StoreError::Silent.into())), cursor)
        });
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for (next, cursor) in join_all(next).await {
            let first = next.as_ref().ok().and_then(|batch| batch.as_ref()?.events.first());
            step.oldest = step.oldest.into_iter().chain(first.map(|it| it.recorded_at)).min();
            match next {
                Ok(None) => {}
                Ok(Some(batch)) if cursor.is_alone() => alone.push((cursor, batch)),
                Ok(Some(batch)) => together.push((cursor, batch)),
                Err(error) => {
                    cursor.put_off();
                    step.failed.push((cursor.partition, error));
                }
            }
        }
        if together.len() > 1 {
            let (mut cursors, batches): (Vec<_>, Vec<_>) = together.into_iter().unzip();
            if let Ok(Posted::Here) = ends.post(&batches).await {
                for (cursor, batch) in cursors.iter_mut().zip(&batches) {
                    cursor.posted(batch);
                    step.posted += batch.len();
                }
            } else {
                // Whose fault it was shows when each is on its own.
                alone.extend(cursors.into_iter().zip(batches));
            }
        } else {
            alone.extend(together);
        }
        let posting = alone.into_iter().map(async |(cursor, batch)| {
            let partition = cursor.partition;
            (partition, cursor.post(batch, ends).await)
        });
        for (partition, posted) in join_all(posting).await {
            match posted {
                Ok(Some(count)) => step.posted += count,
                Ok(None) => step.let_go.push(partition),
                Err(error) => step.failed.push((partition, error)),
            }
        }
        step
    }

    /// The partitions that may have something to post.
    fn ready(&mut self) -> Vec<i32> {
        let now = Instant::now();
        let prospects = self.prospects(now);
        let ready = prospects.into_iter().filter(|(_, at)| matches!(at, Prospect::Now));
        ready.map(|(partition, _)| partition).collect()
    }

    fn prospects(&mut self, now: Instant) -> Vec<(i32, Prospect)> {
        let kafka = *self.transport.borrow() != Transport::Log;
        let kafka = kafka.then_some(self.ends.limits.kafka_wait);
        // The lanes tell an event before its offset: what the heads count is there to be taken over.
        let heads = self.heads.borrow_and_update().clone();
        self.take_over();
        let log = self.ends.feed.log();
        let prospect = |cursor: &mut Cursor| {
            let (head, life) = (heads[index(cursor.partition)], Life::of(log, cursor.partition));
            (cursor.partition, cursor.prospect((head, life), kafka, now))
        };
        self.cursors.values_mut().map(prospect).collect()
    }

    /// Takes over what was brought meanwhile, as much as may be held.
    fn take_over(&mut self) {
        let held: usize = self.cursors.values().map(Cursor::held).sum();
        let room = self.ends.limits.take.saturating_sub(held);
        let mut taken = 0;
        while taken < room {
            match self.live.try_recv() {
                Ok(event) => self.bring(Ok(event)),
                Err(TryRecvError::Lagged(missed)) => self.bring(Err(RecvError::Lagged(missed))),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
            taken += 1;
        }
        if taken > 0 {
            metrics::histogram!("daybook_follower_taken_events").record(taken as f64);
        }
    }

    fn bring(&mut self, brought: Result<Arc<Recorded>, RecvError>) {
        if let Ok(event) = brought {
            if let Some(cursor) = self.cursors.get_mut(&event.partition) {
                cursor.bring(event);
            }
        } else {
            // What was missed may be the last of its partition, which leaves no hole.
            self.cursors.values_mut().for_each(Cursor::read_log);
        }
    }

    /// Waits until there may be something to post, or the transport has changed.
    pub(super) async fn wait(&mut self) {
        loop {
            let mut wake: Option<Instant> = None;
            for (_, prospect) in self.prospects(Instant::now()) {
                match prospect {
                    Prospect::Now => return,
                    Prospect::At(at) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
                    Prospect::None => {}
                }
            }
            let until = wake.unwrap_or_else(Instant::now);
            tokio::select! {
                brought = self.live.recv() => self.bring(brought),
                _ = self.heads.changed() => {}
                () = tokio::time::sleep_until(until), if wake.is_some() => {}
                _ = self.transport.changed() => {
                    self.cursors.values_mut().for_each(Cursor::read_log);
                    return;
                }
            }
        }
    }

    /// Whether a partition does not wait after a failure.
    pub(super) fn goes_on(&self, partition: i32) -> bool {
        self.cursors.get(&partition).is_none_or(Cursor::goes_on)
    }

    /// How many events of a partition are parked.
    pub(super) fn parked(&self, partition: i32) -> usize {
        self.cursors.get(&partition).map_or(0, Cursor::parked)
    }

    /// How far a partition that is held is posted; none before its checkpoint is loaded.
    pub(super) fn mark(&self, partition: i32) -> Option<Mark> {
        self.cursors.get(&partition)?.mark()
    }

    pub(super) fn limits(&self) -> &FollowLimits {
        &self.ends.limits
    }

    /// How long to rest after a step.
    pub(super) fn rest(&self, step: &Step, took: Duration, full: bool) -> Rest {
        let rest = |oldest| self.ends.limits.pace.rest(Stepped { oldest, took, full });
        step.oldest.map_or_else(Rest::default, rest)
    }

    pub(super) fn log(&self) -> &Source {
        self.ends.feed.log()
    }
}

impl Cursor {
    /// Posts a batch of its own, or parks what cannot be posted; none if another instance works the partition.
    async fn post(&mut self, mut batch: Batch, ends: &Ends) -> Result<Option<usize>, StepError> {
        loop {
            match ends.post(std::slice::from_ref(&batch)).await {
                Ok(Posted::Here) => {
                    self.posted(&batch);
                    ends.tell_parked(&batch);
                    return Ok(Some(batch.len()));
                }
                Ok(Posted::Overtaken) => return Ok((!self.overtaken()).then_some(0)),
                Err(error) => match self.failed(error, batch, ends) {
                    Failed::Again => return Ok(Some(0)),
                    Failed::For(error) => return Err(error),
                    Failed::Park(parking) => batch = parking,
                },
            }
        }
    }
}

impl Ends {
    fn tell_parked(&self, batch: &Batch) {
        let follower = self.follower.name();
        // What has no reason is behind an event that was told of.
        let told = batch.aside.iter().filter_map(|it| Some((&it.event, it.reason.as_deref()?)));
        for (event, why) in told {
            metrics::counter!("daybook_follower_parked_total", "follower" => follower.to_owned())
                .increment(1);
            let (position, stream) = (event.position().to_string(), &event.stream);
            tracing::error!(
                follower,
                position,
                stream,
                why,
                "an event cannot be posted; it is parked with what follows in its stream: see `daybook parked list`"
            );
        }
    }

    async fn post(&self, batches: &[Batch]) -> Result<Posted, ApplyError> {
        for batch in batches {
            metrics::histogram!("daybook_follower_batch_events").record(batch.len() as f64);
        }
        let posting = post(&self.read, &*self.follower, self.generation, batches);
        let posted = timeout(self.limits.call_timeout, posting).await;
        posted.unwrap_or(Err(StoreError::Silent.into()))
    }
}
