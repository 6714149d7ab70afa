use super::feed::Transport;
use super::marks::{Mark, Marks};
use super::runner::{Stopped, lock_name};
use super::worker::{LogWorker, StepError};
use super::{ApplyError, Lock, ReadSide};
use crate::append::index;
use crate::lane::chain_of;
use metrics::Gauge;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A step of so many events is full: the follower does not wait for more.
const FULL: usize = 100;
/// Who waits for what he has written ends a rest that makes no room for anybody else, once it was so many times as long
/// as the step before it: so those who wait one after the other have an eighth of the follower's time, and share steps.
const HURRIED_REST: u32 = 7;

/// Why partitions stand still, for those who ask.
#[derive(Default)]
pub(super) struct Stops(Mutex<BTreeMap<String, String>>);

/// The work of one follower on one log: the locks of the partitions that this process is to work.
pub(super) struct Work {
    stops: Arc<Stops>,
    worker: LogWorker,
    read: ReadSide,
    marks: Arc<Marks>,
    parts: Vec<Part>,
    lock_pause: Duration,
    spare: Duration,
    stop: CancellationToken,
}

struct Part {
    partition: i32,
    /// `orders-view/orders/5`
    name: String,
    lock_name: String,
    lock: Option<Lock>,
    /// When the lock may be asked for.
    ask_at: Instant,
    ours: bool,
    /// Until when it is held in place of its owner.
    spare_until: Option<Instant>,
    parked: Gauge,
}

impl Work {
    pub(super) fn new(
        stops: Arc<Stops>,
        worker: LogWorker,
        read: &ReadSide,
        marks: Arc<Marks>,
        generation: i32,
        stop: CancellationToken,
    ) -> Self {
        let log = worker.log().clone();
        let part = |partition| {
            let name = format!("{}/{}/{partition}", worker.follower().name(), log.service());
            Part {
                partition,
                lock_name: lock_name(&name, generation),
                lock: None,
                ask_at: Instant::now(),
                ours: true,
                spare_until: None,
                parked: metrics::gauge!("daybook_follower_parked_events", "follower" => name.clone()),
                name,
            }
        };
        let parts = (0..log.partitions()).map(part).collect();
        let (lock_pause, spare) = (worker.limits().lock_pause, worker.limits().spare);
        Work { stops, worker, read: read.clone(), marks, parts, lock_pause, spare, stop }
    }

    pub(super) async fn run(mut self) {
        let name = self.worker.follower().name().to_owned();
        let posted = metrics::counter!("daybook_follower_events_total", "follower" => name.clone());
        let pace = self.worker.follower().pace();
        let resting = self.worker.limits().pace.clone();
        let hurries =
            metrics::counter!("daybook_follower_hurries_total", "follower" => name.clone());
        let failures = metrics::counter!("daybook_follower_failures_total", "follower" => name);
        while !self.stop.is_cancelled() {
            let ask_at = self.arrange().await;
            if self.stop.is_cancelled() {
                // Asking may have taken its time, and what has come since is for whoever follows next.
                break;
            }
            let began = Instant::now();
            let step = self.worker.try_step().await;
            let (full, took) = (step.posted >= FULL, began.elapsed());
            let mut rest = self.worker.rest(&step, took, full);
            if 0 < step.posted && !full {
                rest = rest.at_least(pace);
            }
            posted.increment(step.posted as u64);
            failures.increment(step.failed.len() as u64);
            self.tell(&step.failed);
            for partition in step.let_go {
                self.let_go(index(partition)).await;
            }
            for (partition, error) in step.failed {
                if matches!(error, StepError::Apply(ApplyError::Unknown(_))) {
                    self.leave(index(partition)).await;
                }
            }
            let rested = Instant::now() + took * HURRIED_REST;
            let hurried = async {
                tokio::time::sleep_until(rested).await;
                self.marks.hurried().await;
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = resting.take(rest), if !rest.is_none() => {}
                () = hurried, if !rest.is_none() && !rest.makes_room() => hurries.increment(1),
                () = self.worker.wait(), if rest.is_none() => {}
                () = tokio::time::sleep_until(ask_at) => {}
            }
        }
        for at in 0..self.parts.len() {
            self.let_go(at).await;
        }
    }

    /// Takes the locks of the partitions that this process is to work, and gives back those of others.
    /// Returns when to look again.
    async fn arrange(&mut self) -> Instant {
        let transport = self.worker.transport.borrow_and_update().clone();
        // A lock that is gone makes no sound.
        let mut again = Instant::now() + self.spare;
        for at in 0..self.parts.len() {
            let part = &mut self.parts[at];
            let now = Instant::now();
            let ours = is_ours(&transport, part.partition);
            if ours {
                part.spare_until = None;
                if !part.ours {
                    part.ask_at = now;
                }
            }
            part.ours = ours;
            if let Some(lock) = &part.lock {
                let keeps = ours || part.spare_until.is_some_and(|until| now < until);
                if lock.is_held() && keeps {
                    again = again.min(part.spare_until.unwrap_or(again));
                    continue;
                }
                self.let_go(at).await;
            } else if part.ask_at <= now && !self.take(at).await {
                // Nor can the others be asked for.
                let again_at = now + self.lock_pause;
                self.parts.iter_mut().for_each(|part| part.ask_at = again_at);
                return again_at;
            }
            again = again.min(self.parts[at].ask_at);
        }
        again
    }

    /// Asks for the lock of a partition; false if the database is out of reach.
    async fn take(&mut self, at: usize) -> bool {
        let part = &mut self.parts[at];
        part.ask_at = Instant::now() + if part.ours { self.lock_pause } else { self.spare };
        match self.read.locks.try_lock(&part.lock_name).await {
            Ok(None) => {
                self.forget(at);
                true
            }
            Ok(Some(lock)) => {
                if !part.ours {
                    tracing::info!(
                        part.name,
                        "no other process works the partition; this one does"
                    );
                    part.spare_until = Some(Instant::now() + self.spare);
                }
                part.lock = Some(lock);
                self.worker.hold(part.partition);
                true
            }
            Err(error) => {
                tracing::debug!(part.name, error = %chain_of(&error), "a lock cannot be asked for");
                false
            }
        }
    }

    /// Leaves a partition to a process of the newer binary that wrote what this one cannot read. If there is
    /// none yet, this one takes it again, and it stays told that it stands still.
    async fn leave(&mut self, at: usize) {
        self.give_back(at, self.spare).await;
    }

    async fn let_go(&mut self, at: usize) {
        let part = &self.parts[at];
        let pause = match part.spare_until {
            None if !part.ours => self.spare,
            // Time for the owner to ask.
            Some(_) => 2 * self.lock_pause,
            None => self.lock_pause,
        };
        self.give_back(at, pause).await;
        self.forget(at);
    }

    async fn give_back(&mut self, at: usize, pause: Duration) {
        let part = &mut self.parts[at];
        part.spare_until = None;
        part.ask_at = Instant::now() + pause;
        part.parked.set(0.0);
        self.worker.let_go(part.partition);
        if let Some(lock) = part.lock.take() {
            lock.release().await;
        }
    }

    /// Whatever held a partition up here does not hold up whoever works it.
    fn forget(&self, at: usize) {
        let part = &self.parts[at];
        self.marks.set(part.partition, None);
        self.stops.note(&part.name, None);
    }

    /// Tells how far each partition is, and what stopped it.
    fn tell(&self, failed: &[(i32, StepError)]) {
        for part in self.parts.iter().filter(|part| part.lock.is_some()) {
            let nothing = Mark { epoch: 0, next_offset: 0 };
            let mark = self.worker.mark(part.partition).unwrap_or(nothing);
            self.marks.set(part.partition, Some(mark));
            part.parked.set(self.worker.parked(part.partition) as f64);
            let failure = failed.iter().find(|(partition, _)| *partition == part.partition);
            if let Some((_, error)) = failure {
                self.stops.report(&part.name, error);
            } else if self.worker.goes_on(part.partition) {
                self.stops.note(&part.name, None);
            }
        }
    }
}

/// Whether Kafka gave the partition to this process, or there is no Kafka to say so.
fn is_ours(transport: &Transport, partition: i32) -> bool {
    match transport {
        Transport::Log => true,
        Transport::Kafka(assigned) => assigned.contains(&partition),
    }
}

impl Stops {
    pub(super) fn all(&self) -> Vec<Stopped> {
        let stopped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.iter().map(|(n, w)| Stopped { name: n.clone(), why: w.clone() }).collect()
    }

    /// What passes is logged low; what stops a partition is logged once, and kept for those who ask.
    fn report(&self, name: &str, error: &StepError) {
        let why = chain_of(error);
        match error {
            StepError::Apply(ApplyError::Transient(_)) => {
                tracing::debug!(name, why, "a batch is tried again");
            }
            StepError::Apply(
                ApplyError::Poison(_) | ApplyError::Unknown(_) | ApplyError::Broken(_),
            )
            | StepError::Invalid { .. }
            | StepError::TooManyParked { .. } => {
                if self.note(name, Some(why.clone())) {
                    tracing::error!(name, why, "a partition of a follower stands still");
                }
            }
        }
    }

    /// Notes why a partition stands still, or that it goes on; true if that is news.
    fn note(&self, name: &str, why: Option<String>) -> bool {
        let mut stopped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            None => stopped.remove(name).is_some(),
            Some(why) => stopped.insert(name.to_owned(), why.clone()).as_ref() != Some(&why),
        }
    }
}
