use super::cursor::RETRY_MOST;
use super::feed::{Feed, Transport};
use super::marks::Marks;
use super::worker::{LogWorker, StepError};
use super::{ApplyError, Follower, Lock, ReadSide};
use crate::lane::chain_of;
use crate::{Progress, StoreError};
use metrics::Gauge;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs followers: a task for each log that they follow.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

/// Bounds of followers.
#[derive(Clone, Debug)]
pub struct FollowLimits {
    /// Events that may be parked of a partition of a log for one follower; past that the partition stops.
    pub parked: usize,
    /// A batch that is not read, or not posted, for so long is given up, and tried again on another connection.
    pub call_timeout: Duration,
}

impl Default for FollowLimits {
    fn default() -> Self {
        FollowLimits { parked: 10_000, call_timeout: Duration::from_secs(60) }
    }
}

struct Inner {
    limits: FollowLimits,
    feeds: HashMap<String, Feed>,
    stop: CancellationToken,
    tasks: TaskTracker,
    stopped: Mutex<BTreeMap<String, String>>,
    marks: Mutex<Vec<(Arc<Marks>, CancellationToken)>>,
}

/// A partition of a follower that does not go on, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// `orders-view/orders/5`
    pub name: String,
    pub why: String,
}

/// A step of so many events is followed by the next one at once.
const FULL: usize = 100;
/// How often a partition whose lock another process holds is tried again.
const LOCK_PAUSE: Duration = Duration::from_secs(1);
/// How often a partition that Kafka gave to others is looked at, and how long it is worked if none of them does:
/// a group may give it to nobody. Then it is let go for a moment, so that its owner can take it.
const SPARE: Duration = Duration::from_secs(5);

impl Runner {
    /// Starts to look for what is appended elsewhere; followers are added by [`follow`](Self::follow).
    #[must_use]
    pub fn new(feeds: Vec<Feed>, stop: CancellationToken) -> Self {
        Self::limited(feeds, stop, FollowLimits::default())
    }

    /// The same with other bounds.
    #[must_use]
    pub fn limited(feeds: Vec<Feed>, stop: CancellationToken, limits: FollowLimits) -> Self {
        let tasks = TaskTracker::new();
        for feed in &feeds {
            tasks.spawn(feed.clone().run(stop.clone()));
        }
        let feeds = feeds.into_iter().map(|f| (f.log().service().to_string(), f)).collect();
        Runner(Arc::new(Inner {
            limits,
            feeds,
            stop,
            tasks,
            stopped: Mutex::default(),
            marks: Mutex::default(),
        }))
    }

    #[must_use]
    pub fn feed(&self, service: &str) -> Option<&Feed> {
        self.0.feeds.get(service)
    }

    /// Runs a follower until the token that is returned, or the runner's own, is cancelled.
    pub fn follow(
        &self,
        follower: &Arc<dyn Follower>,
        generation: i32,
        read: &ReadSide,
    ) -> CancellationToken {
        let stop = self.0.stop.child_token();
        for service in follower.logs() {
            let Some(feed) = self.0.feeds.get(&service) else {
                tracing::error!(follower = follower.name(), service, "no such log is open here");
                continue;
            };
            let worker = LogWorker::new(
                follower.clone(),
                generation,
                read.clone(),
                feed.clone(),
                self.0.limits.clone(),
            );
            let marks = Arc::new(Marks::new(follower.name(), feed.log()));
            self.marks().push((marks.clone(), stop.clone()));
            let work = Work::new(self.0.clone(), worker, read, marks, generation, stop.clone());
            self.0.tasks.spawn(work.run());
        }
        stop
    }

    /// The partitions that do not go on.
    #[must_use]
    pub fn stopped(&self) -> Vec<Stopped> {
        let stopped = self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.iter().map(|(n, w)| Stopped { name: n.clone(), why: w.clone() }).collect()
    }

    /// How far each follower is behind in each of its logs, and how long it has stood still. To be asked every
    /// second or so: what is not looked at is not seen standing.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let mut marks = self.marks();
        marks.retain(|(_, stop)| !stop.is_cancelled());
        marks.iter().map(|(marks, _)| marks.look()).collect()
    }

    fn marks(&self) -> MutexGuard<'_, Vec<(Arc<Marks>, CancellationToken)>> {
        self.0.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every task has ended after its token was cancelled.
    pub async fn wait(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

fn lock_name(name: &str, generation: i32) -> String {
    format!("{name}#{generation}")
}

/// Whether some process works a partition of a follower.
///
/// # Errors
/// If the database is out of reach.
pub async fn is_worked(
    read: &ReadSide,
    follower: &str,
    generation: i32,
    service: &str,
    partition: i32,
) -> Result<bool, StoreError> {
    let name = lock_name(&format!("{follower}/{service}/{partition}"), generation);
    read.locks.is_held(&name).await
}

/// The work of one follower on one log: the locks of the partitions that this process is to work.
struct Work {
    runner: Arc<Inner>,
    worker: LogWorker,
    read: ReadSide,
    marks: Arc<Marks>,
    parts: Vec<Part>,
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
    fn new(
        runner: Arc<Inner>,
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
        Work { runner, worker, read: read.clone(), marks, parts, stop }
    }

    async fn run(mut self) {
        let name = self.worker.follower().name().to_owned();
        let posted = metrics::counter!("daybook_follower_events_total", "follower" => name);
        let pace = self.worker.follower().pace();
        while !self.stop.is_cancelled() {
            let ask_at = self.arrange().await;
            let step = self.worker.try_step().await;
            posted.increment(step.posted as u64);
            self.tell(&step.failed);
            for partition in step.let_go {
                self.let_go(crate::append::index(partition)).await;
            }
            for (partition, error) in step.failed {
                if matches!(error, StepError::Apply(ApplyError::Unknown(_))) {
                    self.leave(crate::append::index(partition)).await;
                }
            }
            let paced = !pace.is_zero() && 0 < step.posted && step.posted < FULL;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(pace), if paced => {}
                () = self.worker.wait(), if !paced => {}
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
        let mut again = Instant::now() + RETRY_MOST;
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
                self.parts.iter_mut().for_each(|part| part.ask_at = now + LOCK_PAUSE);
                return now + LOCK_PAUSE;
            }
            again = again.min(self.parts[at].ask_at);
        }
        again
    }

    /// Asks for the lock of a partition; false if the database is out of reach.
    async fn take(&mut self, at: usize) -> bool {
        let part = &mut self.parts[at];
        part.ask_at = Instant::now() + if part.ours { LOCK_PAUSE } else { SPARE };
        match self.read.locks.try_lock(&part.lock_name).await {
            Ok(None) => {
                // Whatever held it up here does not hold up whoever works it.
                self.marks.set(part.partition, None);
                note(&self.runner, &part.name, None);
                true
            }
            Ok(Some(lock)) => {
                if !part.ours {
                    tracing::info!(
                        part.name,
                        "no other process works the partition; this one does"
                    );
                    part.spare_until = Some(Instant::now() + SPARE);
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
        let part = &mut self.parts[at];
        part.spare_until = None;
        part.ask_at = Instant::now() + SPARE;
        self.worker.let_go(part.partition);
        if let Some(lock) = part.lock.take() {
            lock.release().await;
        }
    }

    async fn let_go(&mut self, at: usize) {
        let part = &mut self.parts[at];
        let pause = match part.spare_until.take() {
            None if !part.ours => SPARE,
            // Time for the owner to ask.
            Some(_) => 2 * LOCK_PAUSE,
            None => LOCK_PAUSE,
        };
        part.ask_at = Instant::now() + pause;
        self.worker.let_go(part.partition);
        self.marks.set(part.partition, None);
        if let Some(lock) = part.lock.take() {
            lock.release().await;
            note(&self.runner, &part.name, None);
        }
    }

    /// Tells how far each partition is, and what stopped it.
    fn tell(&self, failed: &[(i32, StepError)]) {
        for part in self.parts.iter().filter(|part| part.lock.is_some()) {
            let next = self.worker.next_offset(part.partition).unwrap_or(0);
            self.marks.set(part.partition, Some(next));
            part.parked.set(self.worker.parked(part.partition) as f64);
            let failure = failed.iter().find(|(partition, _)| *partition == part.partition);
            if let Some((_, error)) = failure {
                report(&self.runner, &part.name, error);
            } else if self.worker.goes_on(part.partition) {
                note(&self.runner, &part.name, None);
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

/// What passes is logged low; what stops a partition is logged once, and kept for those who ask.
fn report(runner: &Inner, name: &str, error: &StepError) {
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
            if note(runner, name, Some(why.clone())) {
                tracing::error!(name, why, "a partition of a follower stands still");
            }
        }
    }
}

/// Notes why a partition stands still, or that it goes on; true if that is news.
fn note(runner: &Inner, name: &str, why: Option<String>) -> bool {
    let mut stopped = runner.stopped.lock().unwrap_or_else(PoisonError::into_inner);
    match why {
        None => stopped.remove(name).is_some(),
        Some(why) => stopped.insert(name.to_owned(), why.clone()).as_ref() != Some(&why),
    }
}
