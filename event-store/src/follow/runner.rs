use super::feed::{Feed, Transport};
use super::worker::{Outcome, PartitionWorker, StepError};
use super::{ApplyError, Follower, ReadSide};
use crate::StoreError;
use crate::lane::chain_of;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs followers: a task for each partition of each log that they follow.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    feeds: HashMap<String, Feed>,
    stop: CancellationToken,
    tasks: TaskTracker,
    stopped: Mutex<BTreeMap<String, String>>,
}

/// A partition of a follower that does not go on, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// `orders-view/orders/5`
    pub name: String,
    pub why: String,
}

const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MOST: Duration = Duration::from_secs(5);
/// A batch of so many events is followed by the next one at once.
const FULL: usize = 100;
/// How often a partition whose lock another process holds is tried again.
const LOCK_PAUSE: Duration = Duration::from_secs(1);

impl Runner {
    /// Starts to look for what is appended elsewhere; followers are added by [`follow`](Self::follow).
    #[must_use]
    pub fn new(feeds: Vec<Feed>, stop: CancellationToken) -> Self {
        let tasks = TaskTracker::new();
        for feed in &feeds {
            tasks.spawn(feed.clone().run(stop.clone()));
        }
        let feeds = feeds.into_iter().map(|f| (f.log().service().to_string(), f)).collect();
        Runner(Arc::new(Inner { feeds, stop, tasks, stopped: Mutex::default() }))
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
            for partition in 0..feed.log().partitions() {
                let worker = PartitionWorker::new(
                    follower.clone(),
                    generation,
                    read.clone(),
                    feed.clone(),
                    partition,
                );
                let name = format!("{}/{service}/{partition}", follower.name());
                self.0.tasks.spawn(watched(self.0.clone(), worker, name, stop.clone()));
            }
        }
        stop
    }

    /// The partitions that do not go on.
    #[must_use]
    pub fn stopped(&self) -> Vec<Stopped> {
        let stopped = self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.iter().map(|(n, w)| Stopped { name: n.clone(), why: w.clone() }).collect()
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

/// Works a partition, and tells of it if the follower panics: nobody else would miss it.
async fn watched(
    runner: Arc<Inner>,
    worker: PartitionWorker,
    name: String,
    stop: CancellationToken,
) {
    let working = tokio::spawn(work(runner.clone(), worker, name.clone(), stop));
    if let Err(ended) = working.await {
        let why = format!("{ended}; it goes on after a restart");
        tracing::error!(name, why, "a partition of a follower stands still");
        note(&runner, &name, Some(why));
    }
}

/// Holds the partition's lock while this process is to work it, and works it.
async fn work(
    runner: Arc<Inner>,
    mut worker: PartitionWorker,
    name: String,
    stop: CancellationToken,
) {
    let lock_name = lock_name(&name, worker.generation);
    loop {
        let mut transport = worker.feed.transport();
        if !wanted(&transport.borrow_and_update(), worker.partition) {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = transport.changed() => continue,
            }
        }
        let lock = match worker.read.locks.try_lock(&lock_name).await {
            Ok(lock) => lock,
            Err(error) => {
                tracing::debug!(name, error = %chain_of(&error), "a lock cannot be asked for");
                None
            }
        };
        if let Some(lock) = lock {
            worker.restart();
            while_locked(&runner, &mut worker, &name, &lock, &stop).await;
            lock.release().await;
            note(&runner, &name, None);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOCK_PAUSE) => {}
        }
    }
}

/// Steps until the lock is lost, the partition is another process's, or it is time to stop.
async fn while_locked(
    runner: &Inner,
    worker: &mut PartitionWorker,
    name: &str,
    lock: &super::Lock,
    stop: &CancellationToken,
) {
    let mut live = worker.feed.live(worker.partition);
    let mut head = worker.feed.log().head(worker.partition);
    let transport = worker.feed.transport();
    let lag = metrics::gauge!("daybook_follower_lag_events", "follower" => name.to_owned());
    let mut pause = RETRY_FIRST;
    while !stop.is_cancelled() && lock.is_held() && wanted(&transport.borrow(), worker.partition) {
        let step = worker.try_step().await;
        lag.set(worker.lag() as f64);
        match step {
            Ok(Outcome::Posted(count)) => {
                metrics::counter!("daybook_follower_events_total", "follower" => worker.follower.name().to_owned())
                    .increment(count as u64);
                if count > 0 {
                    pause = RETRY_FIRST;
                    note(runner, name, None);
                }
                let pace = worker.follower.pace();
                if count < FULL && !pace.is_zero() {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pace) => {}
                    }
                }
            }
            Ok(Outcome::Idle) => {
                note(runner, name, None);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = worker.wait(&mut live, &mut head) => {}
                    // A lock that is gone makes no sound.
                    () = tokio::time::sleep(RETRY_MOST) => {}
                }
            }
            Ok(Outcome::LetGo) => return,
            Err(error) => {
                report(runner, name, &error);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(RETRY_MOST);
            }
        }
    }
}

fn wanted(transport: &Transport, partition: i32) -> bool {
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
        StepError::Apply(ApplyError::Poison(_) | ApplyError::Unknown(_))
        | StepError::Invalid { .. } => {
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
