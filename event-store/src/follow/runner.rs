use super::feed::Feed;
use super::marks::Marks;
use super::work::{Stops, Work};
use super::worker::LogWorker;
use super::{Follower, ReadSide};
use crate::{Pace, Position, Progress, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
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
    /// Events of one partition in one transaction.
    pub batch: usize,
    /// Parked events of a partition that are tried between two looks at the log.
    pub parked_batch: i64,
    /// How long such a try waits in Postgres for a row: whoever mends it just now must not hold up every other
    /// partition.
    pub parked_lock: Duration,
    /// The pause of a partition after a failure; it doubles up to `retry_most`.
    pub retry_first: Duration,
    pub retry_most: Duration,
    /// Whether followers are told at once what their own process appends; else Kafka brings it, as it brings what
    /// others append.
    pub shortcut: bool,
    /// Events that a slow follower may lag behind; past that it reads the log.
    pub buffer: usize,
    /// Events that it takes over from there at once.
    pub take: usize,
    /// How long Kafka may take to bring what this process knows to be in the log.
    pub kafka_wait: Duration,
    /// How often a partition whose lock another process holds is tried again.
    pub lock_pause: Duration,
    /// How often a partition that Kafka gave to others is looked at, and how long it is worked if none of them
    /// does: a group may give it to nobody. Then it is let go for a moment, so that its owner can take it.
    pub spare: Duration,
    /// How long it rests between two steps.
    pub pace: Pace,
}

impl Default for FollowLimits {
    fn default() -> Self {
        FollowLimits {
            parked: 10_000,
            call_timeout: Duration::from_secs(60),
            batch: 500,
            parked_batch: 200,
            parked_lock: Duration::from_secs(2),
            retry_first: Duration::from_millis(20),
            retry_most: Duration::from_secs(5),
            shortcut: true,
            buffer: 8_192,
            take: 2_000,
            kafka_wait: Duration::from_millis(200),
            lock_pause: Duration::from_secs(1),
            spare: Duration::from_secs(5),
            pace: Pace::default(),
        }
    }
}

struct Inner {
    limits: FollowLimits,
    feeds: HashMap<String, Feed>,
    stop: CancellationToken,
    tasks: TaskTracker,
    stops: Arc<Stops>,
    marks: Mutex<Vec<(Arc<Marks>, CancellationToken)>>,
    moved: Arc<watch::Sender<()>>,
}

/// A partition of a follower that does not go on, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// `orders-view/orders/5`
    pub name: String,
    pub why: String,
}

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
            stops: Arc::default(),
            marks: Mutex::default(),
            moved: Arc::new(watch::Sender::new(())),
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
            let name = (follower.name(), generation);
            let marks = Arc::new(Marks::new(name, feed.log(), self.0.moved.clone()));
            self.marks().push((marks.clone(), stop.clone()));
            let work =
                Work::new(self.0.stops.clone(), worker, read, marks, generation, stop.clone());
            self.0.tasks.spawn(work.run());
        }
        stop
    }

    /// The partitions that do not go on.
    #[must_use]
    pub fn stopped(&self) -> Vec<Stopped> {
        self.0.stops.all()
    }

    /// How far each follower is behind in each of its logs, and how long it has stood still. To be asked every
    /// second or so: what is not looked at is not seen standing.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let mut marks = self.marks();
        marks.retain(|(_, stop)| !stop.is_cancelled());
        marks.iter().map(|(marks, _)| marks.look()).collect()
    }

    /// Whether a follower of this process has posted a position; none if it does not work that partition.
    #[must_use]
    pub fn has_posted(&self, follower: &str, generation: i32, position: &Position) -> Option<bool> {
        self.marks_of((follower, generation), position)?.has_posted(position)
    }

    /// Somebody waits until a follower has posted a position: it does not rest meanwhile, as far as nobody else gains by
    /// that. To be said again after each move for as long as he waits.
    pub fn hurry(&self, follower: &str, generation: i32, position: &Position) {
        if let Some(marks) = self.marks_of((follower, generation), position) {
            marks.hurry(position);
        }
    }

    fn marks_of(&self, of_it: (&str, i32), position: &Position) -> Option<Arc<Marks>> {
        let marks = self.marks();
        let of_it = marks.iter().map(|(marks, _)| marks).find(|marks| {
            (&*marks.follower, marks.generation) == of_it && marks.service() == position.service
        });
        of_it.cloned()
    }

    /// Tells whenever a follower of this process has posted something, or has begun or ended to work a partition.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<()> {
        self.0.moved.subscribe()
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

pub(super) fn lock_name(name: &str, generation: i32) -> String {
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
