//! What waits for the lanes of a log: one queue, of which each lane that is free takes its share.

use crate::append::index;
use crate::{AppendError, Chain, ChainOutcome};
use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// A call that takes longer than any should holds up no partition but its own.
const SLOW: Duration = Duration::from_millis(50);

pub(crate) struct Job {
    pub(crate) partition: i32,
    /// In which the chain was decided, if that matters.
    pub(crate) epoch: Option<i32>,
    pub(crate) chain: Chain,
    pub(crate) answer: oneshot::Sender<Result<ChainOutcome, AppendError>>,
}

/// Bounds of a queue and of what is taken of it at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) lanes: usize,
    pub(crate) waiting: usize,
    /// So many that wait or are under way are the first lane's. Who has just been answered and sends the next counts
    /// twice for a moment.
    pub(crate) few: usize,
    pub(crate) batch: usize,
    pub(crate) batch_bytes: usize,
}

/// The queue of one log; clones are one.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    stop: CancellationToken,
    state: Mutex<State>,
    /// Of each lane.
    wake: Vec<Notify>,
}

struct State {
    limits: QueueLimits,
    /// By partition, in the order in which they came.
    waiting: Vec<VecDeque<Job>>,
    /// How many those are.
    waits: usize,
    /// Which lane appends to a partition: until it is done nobody else does, so that chains of a stream keep their order.
    taken: Vec<Option<usize>>,
    /// Chains under way, and whether their call takes too long, by lane.
    under_way: Vec<usize>,
    slow: Vec<bool>,
    closed: bool,
}

impl State {
    /// The lane that a partition is for: the first one while there is little, and another one while that is slow.
    fn lane_of(&self, partition: usize) -> usize {
        let QueueLimits { lanes, few, .. } = self.limits;
        let little = self.waits + self.under_way.iter().sum::<usize>() <= few;
        let of = if little { 0 } else { partition % lanes };
        (of..of + lanes).map(|lane| lane % lanes).find(|lane| !self.slow[*lane]).unwrap_or(of)
    }

    /// The lane that may take what waits in a partition; none if nothing does, or it is under way already.
    fn may_take(&self, partition: usize) -> Option<usize> {
        let is_free = self.taken[partition].is_none() && !self.waiting[partition].is_empty();
        is_free.then(|| self.lane_of(partition))
    }
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits, partitions: u32, stop: CancellationToken) -> Self {
        let state = State {
            limits,
            waiting: (0..partitions).map(|_| VecDeque::new()).collect(),
            waits: 0,
            taken: (0..partitions).map(|_| None).collect(),
            under_way: vec![0; limits.lanes],
            slow: vec![false; limits.lanes],
            closed: false,
        };
        let wake = (0..limits.lanes).map(|_| Notify::new()).collect();
        Queue(Arc::new(Shared { stop, state: Mutex::new(state), wake }))
    }

    /// Chains that wait.
    pub(crate) fn len(&self) -> usize {
        self.state().waits
    }

    pub(crate) fn push(&self, job: Job) -> Result<(), AppendError> {
        let Shared { wake, stop, .. } = &*self.0;
        let mut state = self.state();
        if state.closed || stop.is_cancelled() {
            return Err(AppendError::Closed);
        }
        if state.waits >= state.limits.waiting {
            return Err(AppendError::Full);
        }
        let partition = index(job.partition);
        state.waiting[partition].push_back(job);
        state.waits += 1;
        let lane = state.lane_of(partition);
        drop(state);
        wake[lane].notify_one();
        Ok(())
    }

    /// The queue as one of its lanes sees it.
    pub(super) fn of_lane(&self, lane: usize) -> Share {
        Share { queue: self.clone(), lane, from: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        self.0.wake.iter().for_each(Notify::notify_one);
    }
}

/// What one lane takes of the queue.
pub(super) struct Share {
    queue: Queue,
    lane: usize,
    /// The partition that it begins with, so that none waits for the others for ever.
    from: usize,
}

impl Share {
    /// Whatever is queued for this lane, up to the batch's limits, each stream once; its partitions are this lane's
    /// until [`done`](Self::done). None: closed and empty.
    pub(super) async fn next_batch(&mut self) -> Option<Vec<Job>> {
        let shared = self.queue.0.clone();
        loop {
            if shared.stop.is_cancelled() {
                self.queue.state().closed = true;
            }
            let (batch, ended) = self.take();
            if ended {
                // Nor does anything come for the others any more.
                self.queue.wake_all();
            }
            if !batch.is_empty() {
                return Some(batch);
            }
            if ended {
                return None;
            }
            tokio::select! {
                () = shared.wake[self.lane].notified() => {}
                () = shared.stop.cancelled(), if !self.queue.state().closed => {}
            }
        }
    }

    /// Gives the partitions back that were taken.
    pub(super) fn done(&mut self) {
        let mut state = self.queue.state();
        state.taken.iter_mut().filter(|of| **of == Some(self.lane)).for_each(|of| *of = None);
        state.under_way[self.lane] = 0;
        state.slow[self.lane] = false;
        let for_others = |at| state.may_take(at).is_some_and(|lane| lane != self.lane);
        let others_wait = state.closed || (0..state.waiting.len()).any(for_others);
        drop(state);
        if others_wait {
            self.queue.wake_all();
        }
    }

    /// Ends never. Others take what is not in the partitions of a call that takes too long; what is, and of which nothing
    /// was sent, is refused after a while.
    pub(super) async fn turn_away(&mut self, after: Duration) -> Infallible {
        tokio::time::sleep(SLOW.min(after)).await;
        self.queue.state().slow[self.lane] = true;
        self.queue.wake_all();
        tokio::time::sleep(after.saturating_sub(SLOW)).await;
        let away = AppendError::Away("the append before it is not answered".into());
        loop {
            refuse(self.take_all(), &away);
            self.queue.0.wake[self.lane].notified().await;
        }
    }

    /// Whatever waits for this lane, as no other takes it.
    fn take_all(&self) -> Vec<Job> {
        let mut state = self.queue.state();
        let mut all = Vec::new();
        for at in 0..state.waiting.len() {
            if state.taken[at].unwrap_or(state.lane_of(at)) == self.lane {
                all.extend(std::mem::take(&mut state.waiting[at]));
            }
        }
        state.waits -= all.len();
        all
    }

    /// A batch, which may be empty, and whether nothing can follow it any more.
    fn take(&mut self) -> (Vec<Job>, bool) {
        let mut state = self.queue.state();
        let mut batch = Batch { limits: state.limits, jobs: Vec::new(), bytes: 0, full: false };
        let partitions = state.waiting.len();
        let ours = |at: &usize| state.may_take(*at) == Some(self.lane);
        let ours: Vec<usize> =
            (self.from..self.from + partitions).map(|at| at % partitions).filter(ours).collect();
        for at in ours {
            batch.take(&mut state.waiting[at]);
            state.taken[at] = Some(self.lane);
            if batch.full {
                self.from = at;
                break;
            }
        }
        let jobs = batch.jobs;
        state.waits -= jobs.len();
        state.under_way[self.lane] = jobs.len();
        (jobs, state.closed && state.waits == 0)
    }
}

struct Batch {
    limits: QueueLimits,
    jobs: Vec<Job>,
    bytes: usize,
    full: bool,
}

impl Batch {
    /// Takes of one partition what there is room for, each stream once.
    fn take(&mut self, waiting: &mut VecDeque<Job>) {
        let mut streams = HashSet::new();
        let mut later = Vec::new();
        while let Some(job) = waiting.pop_front() {
            let bytes = self.bytes + job.chain.bytes();
            let fits = self.jobs.is_empty() || bytes <= self.limits.batch_bytes;
            if self.jobs.len() >= self.limits.batch || !fits {
                waiting.push_front(job);
                self.full = true;
                break;
            }
            // A later chain of the same stream must not overtake an earlier one.
            if streams.insert(job.chain.stream.clone()) {
                self.bytes = bytes;
                self.jobs.push(job);
            } else {
                later.push(job);
            }
        }
        later.into_iter().rev().for_each(|job| waiting.push_front(job));
    }
}

impl Drop for Share {
    /// A lane that did not end in order, because it panicked or its runtime was shut down, appends nothing any more:
    /// what waits is told so, and nothing new is taken.
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.closed = true;
        state.waits = 0;
        let left: Vec<_> = state.waiting.iter_mut().map(std::mem::take).collect();
        drop(state);
        drop(left);
        self.queue.wake_all();
    }
}

pub(super) fn refuse(jobs: impl IntoIterator<Item = Job>, error: &AppendError) {
    for job in jobs {
        if matches!(error, AppendError::Away(_)) {
            metrics::counter!("daybook_append_turned_away_total").increment(1);
        }
        // Whoever went away is not told.
        let _ = job.answer.send(Err(error.clone()));
    }
}

#[cfg(test)]
mod tests;
