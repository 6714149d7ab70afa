use super::marks::Mark;
use super::parked::Lot;
use super::{
    ApplyError, Aside, Batch, Checkpoint, Feed, FollowLimits, Follower, ReadSide, Source, StepError,
};
use crate::Recorded;
use crate::backoff::Backoff;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One partition of a log, as one follower goes along it.
pub(super) struct Cursor {
    pub(super) partition: i32,
    checkpoint: Option<Checkpoint>,
    /// In which life of the log the checkpoint was last found valid.
    checked: Option<Life>,
    parked: Option<Lot>,
    overtaken: bool,
    /// What was brought and is not posted yet, in order.
    brought: VecDeque<Arc<Recorded>>,
    /// Whether the log must be read: at the start, at a hole, when Kafka is late.
    behind: bool,
    /// Where Kafka is awaited, and since when: duplicates that it brings meanwhile do not make it punctual.
    late: Option<(i64, Instant)>,
    /// After a failure a batch is halved until the culprit is alone: how many events each of the next batches
    /// has, the next one's last.
    pieces: Vec<usize>,
    /// When it is tried again after a failure.
    again: Option<Instant>,
    retry: Backoff,
}

/// While none of it changes, the log holds what it held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    epoch: i32,
    session: u32,
}

impl Life {
    pub(super) fn of(log: &Source, partition: i32) -> Self {
        Life { epoch: log.known_epoch(partition), session: log.session(partition) }
    }
}

/// What a follower reads from and posts to.
pub(super) struct Ends {
    pub(super) follower: Arc<dyn Follower>,
    pub(super) generation: i32,
    pub(super) read: ReadSide,
    pub(super) feed: Feed,
    pub(super) limits: FollowLimits,
}

/// Whether there may be something to post.
pub(super) enum Prospect {
    Now,
    At(Instant),
    /// When something comes.
    None,
}

/// What a failure leads to.
pub(super) enum Failed {
    Again,
    Park(Batch),
    For(StepError),
}

impl Cursor {
    pub(super) fn new(partition: i32, limits: &FollowLimits) -> Self {
        Cursor {
            partition,
            checkpoint: None,
            checked: None,
            parked: None,
            overtaken: false,
            brought: VecDeque::new(),
            behind: true,
            late: None,
            pieces: Vec::new(),
            again: None,
            retry: Backoff::new(limits.retry_first, limits.retry_most),
        }
    }

    /// Forgets what it knows: the next batch begins with the checkpoint and the log.
    fn restart(&mut self) {
        self.checkpoint = None;
        self.parked = None;
        self.read_log();
        self.brought.clear();
    }

    pub(super) fn read_log(&mut self) {
        self.behind = true;
    }

    pub(super) fn bring(&mut self, event: Arc<Recorded>) {
        if self.has(&event) {
            return;
        }
        if self.again.is_some() {
            // Until it is tried again nothing is kept; the log has it.
            self.behind = true;
        } else {
            self.brought.push_back(event);
        }
    }

    /// Whether an event is posted, or queued, or behind a hole: then the log is read.
    fn has(&self, event: &Recorded) -> bool {
        let last = self.brought.back().map(|last| (last.epoch, last.offset + 1));
        let end = last.or(self.checkpoint.as_ref().map(|it| (it.epoch, it.next_offset)));
        end.is_some_and(|(epoch, next)| event.epoch == epoch && event.offset < next)
    }

    /// How many events wait to be posted.
    pub(super) fn held(&self) -> usize {
        self.brought.len()
    }

    pub(super) fn mark(&self) -> Option<Mark> {
        let at = self.checkpoint.as_ref()?;
        Some(Mark { epoch: at.epoch, next_offset: at.next_offset })
    }

    pub(super) fn parked(&self) -> usize {
        self.parked.as_ref().map_or(0, Lot::len)
    }

    pub(super) fn goes_on(&self) -> bool {
        self.again.is_none()
    }

    /// Whether it posts alone: what failed must not take others along.
    pub(super) fn is_alone(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// With Kafka: how long it may take to bring what this process knows to be in the log.
    pub(super) fn prospect(
        &mut self,
        (head, life): (i64, Life),
        kafka: Option<Duration>,
        now: Instant,
    ) -> Prospect {
        if let Some(at) = self.again.filter(|at| *at > now) {
            return Prospect::At(at);
        }
        let next = self.mark().map_or(0, |at| at.next_offset);
        let checked = self.checkpoint.is_some() && self.checked == Some(life);
        if !checked || self.behind || !self.brought.is_empty() {
            return Prospect::Now;
        }
        let look_at = self.parked.as_ref().and_then(Lot::look_at);
        if look_at.is_some_and(|at| at <= now) {
            return Prospect::Now;
        }
        if head <= next {
            self.late = None;
            return look_at.map_or(Prospect::None, Prospect::At);
        }
        let since = match self.late {
            Some((at, since)) if at == next => since,
            Some(_) | None => now,
        };
        self.late = Some((next, since));
        if let Some(due) = kafka.map(|grace| since + grace).filter(|due| now < *due) {
            return Prospect::At(look_at.map_or(due, |at| at.min(due)));
        }
        self.late = None;
        self.behind = true;
        Prospect::Now
    }

    /// The next batch of `most` events at most, if there is one.
    pub(super) async fn next(
        &mut self,
        most: usize,
        ends: &Ends,
    ) -> Result<Option<Batch>, StepError> {
        self.again = None;
        let life = Life::of(ends.feed.log(), self.partition);
        let from = match self.checkpoint.clone() {
            Some(checkpoint) => {
                if self.checked != Some(life) {
                    self.check(&checkpoint, ends).await?;
                }
                checkpoint
            }
            None => self.load(ends).await?,
        };
        self.checked = Some(life);
        if let Some(parked) = &mut self.parked
            && parked.look_at().is_some_and(|at| at <= Instant::now())
        {
            // What is asked for of parked events holds up none of the others.
            if let Err(error) = parked.look(ends).await {
                let (follower, partition) = (ends.follower.name(), self.partition);
                tracing::warn!(follower, partition, %error, "what was asked for of parked events is tried again");
            }
        }
        let most = self.pieces.last().copied().unwrap_or(most);
        let events = self.following(&from, most, ends).await?;
        let Some(first) = events.first() else { return Ok(None) };
        if first.epoch != from.epoch {
            // Should that fail, what Kafka brought is gone.
            self.behind = true;
            self.check(&from, ends).await?;
        }
        self.apart(from, events, ends)
    }

    /// A batch, and apart from it what is behind a parked event of its stream.
    fn apart(
        &mut self,
        from: Checkpoint,
        mut events: Vec<Arc<Recorded>>,
        ends: &Ends,
    ) -> Result<Option<Batch>, StepError> {
        let parked = self.parked.as_ref().filter(|parked| parked.len() > 0);
        let Some(parked) = parked else { return Ok(Batch::new(from, events)) };
        if parked.len() >= ends.limits.parked {
            let room = events.iter().take_while(|event| !parked.holds(&event.stream)).count();
            if room == 0 {
                self.behind = true;
                return Err(StepError::TooManyParked { most: ends.limits.parked });
            }
            if room < events.len() {
                self.behind = true;
                events.truncate(room);
            }
        }
        let Some(mut batch) = Batch::new(from, events) else { return Ok(None) };
        let (aside, events) =
            batch.events.into_iter().partition(|event| parked.holds(&event.stream));
        batch.events = events;
        batch.aside = aside.into_iter().map(|event| Aside { event, reason: None }).collect();
        Ok(Some(batch))
    }

    async fn load(&mut self, ends: &Ends) -> Result<Checkpoint, StepError> {
        let Ends { follower, generation, read, feed, .. } = ends;
        let checkpoint =
            Checkpoint::load(read, &**follower, *generation, feed.log(), self.partition).await?;
        self.check(&checkpoint, ends).await?;
        self.parked = Some(Lot::load(ends, self.partition).await?);
        self.checkpoint = Some(checkpoint.clone());
        Ok(checkpoint)
    }

    /// Refuses to go on from an event that the log has lost: at the start, when a new epoch becomes known, and
    /// where it begins, because a log may lose its tail under a follower that runs.
    async fn check(&mut self, checkpoint: &Checkpoint, ends: &Ends) -> Result<(), StepError> {
        if checkpoint.is_valid(ends.feed.log(), self.partition).await? {
            return Ok(());
        }
        Err(self.lost(checkpoint, ends))
    }

    fn lost(&mut self, checkpoint: &Checkpoint, ends: &Ends) -> StepError {
        self.restart();
        StepError::Invalid {
            follower: ends.follower.name().to_owned(),
            service: ends.feed.log().service().to_string(),
            partition: self.partition,
            epoch: checkpoint.epoch,
            offset: checkpoint.next_offset,
        }
    }

    /// Below the checkpoint, or of an epoch before it: skip. Equal: take. Above: a hole, read it from the
    /// log. What Kafka brought is taken up to the end of its epoch, where the checkpoint is checked. What is
    /// of an older epoch than the log's may have been lost, which the log alone knows.
    async fn following(
        &mut self,
        from: &Checkpoint,
        most: usize,
        ends: &Ends,
    ) -> Result<Vec<Arc<Recorded>>, StepError> {
        let past = |e: &Arc<Recorded>| e.offset < from.next_offset || e.epoch < from.epoch;
        while self.brought.front().is_some_and(past) {
            self.brought.pop_front();
        }
        let newest = ends.feed.log().known_epoch(self.partition);
        if self.brought.front().is_some_and(|e| e.offset == from.next_offset && e.epoch < newest) {
            self.brought.clear();
            self.behind = true;
        }
        if let Some(first) = self.brought.front().filter(|e| e.offset == from.next_offset) {
            let epoch = first.epoch;
            let follows =
                |(at, event): &(i64, &Arc<Recorded>)| event.offset == *at && event.epoch == epoch;
            let run = (from.next_offset..).zip(&self.brought).take(most).take_while(follows);
            let run = run.count();
            return Ok(self.brought.drain(..run).collect());
        }
        if !self.behind && self.brought.is_empty() {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let log = ends.feed.log();
        // With the last posted event before it: a log that was restored may have lost an epoch too, and counts
        // it again, so the epochs alone do not tell.
        let last = i64::from(from.last_event_id.is_some());
        let page =
            log.read_partition(self.partition, from.next_offset - last, limit + last).await?;
        let mut page = page.into_iter();
        if let Some(last) = from.last_event_id
            && page.next().is_none_or(|e| e.offset != from.next_offset - 1 || e.event_id != last)
        {
            return Err(self.lost(from, ends));
        }
        let page: Vec<_> = page.map(Arc::new).collect();
        self.behind = page.len() == most;
        if page.is_empty() {
            // The log has lost what Kafka brought; what takes its place comes again.
            self.brought.clear();
        }
        let follower = ends.follower.name().to_owned();
        metrics::counter!("daybook_follower_log_reads_total", "follower" => follower).increment(1);
        Ok(page)
    }

    pub(super) fn posted(&mut self, batch: &Batch) {
        self.checkpoint = Some(batch.end.clone());
        if let Some(parked) = &mut self.parked {
            batch.aside.iter().for_each(|aside| parked.add(&aside.event));
        }
        self.overtaken = false;
        self.pieces.pop();
        self.retry.reset();
    }

    /// Whether another instance is proven to work the partition: it may have moved the checkpoint just
    /// before it let go, so once is no proof.
    pub(super) fn overtaken(&mut self) -> bool {
        self.restart();
        std::mem::replace(&mut self.overtaken, true)
    }

    /// What follows from a failure: the same events in halves, a batch that parks the culprit, or a pause.
    pub(super) fn failed(&mut self, error: ApplyError, batch: Batch, ends: &Ends) -> Failed {
        let lasting = !matches!(error, ApplyError::Transient(_));
        if lasting && (batch.len() > 1 || self.pieces.is_empty()) {
            self.pieces.pop();
            let half = batch.len() / 2;
            let halves = [batch.len() - half, half];
            self.pieces.extend(halves.into_iter().filter(|piece| *piece > 0));
            self.brought.clear();
            self.behind = true;
            return Failed::Again;
        }
        match (error, <[_; 1]>::try_from(batch.events)) {
            (ApplyError::Poison(why), Ok([event])) => {
                let parked = self.parked.as_ref().map_or(0, Lot::len);
                if parked < ends.limits.parked {
                    let aside = vec![Aside { event, reason: Some(why) }];
                    return Failed::Park(Batch { events: Vec::new(), aside, ..batch });
                }
                self.put_off();
                Failed::For(StepError::TooManyParked { most: ends.limits.parked })
            }
            (error, _) => {
                self.put_off();
                Failed::For(error.into())
            }
        }
    }

    pub(super) fn put_off(&mut self) {
        self.brought.clear();
        self.behind = true;
        self.again = Some(Instant::now() + self.retry.pause());
    }
}
