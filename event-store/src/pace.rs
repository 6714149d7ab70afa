//! How long what follows the log rests between two steps. What comes together costs less than what comes one
//! by one: an event that is old already may wait a little longer for the next ones, and while callers wait for
//! answers, what nobody waits for stands back.

use chrono::{DateTime, Utc};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pace of one process; clones are one. The default never rests.
#[derive(Clone, Default)]
pub struct Pace(Option<Arc<Inner>>);

struct Inner {
    now: fn() -> DateTime<Utc>,
    waiting: Arc<AtomicUsize>,
    limits: PaceLimits,
    crowd: Mutex<Crowd>,
}

struct Crowd {
    /// Since when there has been one, and until when it counts though it is gone.
    since: Option<Instant>,
    until: Instant,
    /// Until when all workers together rest for what they have done beside it.
    booked: Instant,
}

/// Bounds of a [`Pace`].
#[derive(Clone, Debug)]
pub struct PaceLimits {
    /// So many callers wait at once only if more is asked for than is answered at leisure.
    pub crowd: usize,
    /// Beside a crowd all workers together work an eighth of the time, as if they were one, and none of them rests
    /// longer than this at once, nor longer than the crowd is there,
    pub stand_back: Duration,
    /// but not when it is so far behind: then it has its share, and the door lets in fewer.
    pub far_behind: Duration,
    /// Without a crowd it rests for a fraction of what its events have waited already, and no longer than this.
    pub rest: Duration,
}

impl Default for PaceLimits {
    fn default() -> Self {
        PaceLimits {
            crowd: 16,
            stand_back: Duration::from_secs(2),
            far_behind: Duration::from_secs(30),
            rest: Duration::from_millis(50),
        }
    }
}

/// Of what is worked off one step after another.
#[derive(Clone, Copy, Debug)]
pub struct Stepped {
    /// When the log took the oldest event of the step.
    pub oldest: DateTime<Utc>,
    pub took: Duration,
    /// Whether there was as much as a step takes: then more waits already.
    pub full: bool,
}

/// How long to rest: `least`, and from then on up to `most` while there is a crowd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    least: Duration,
    most: Duration,
}

/// How soon it is seen that a crowd is gone.
const LOOK: Duration = Duration::from_millis(10);

/// So much longer than its step took all workers rest beside a crowd.
const STANDS_BACK: u32 = 7;
/// A crowd counts for as long again as it lasted, up to this. Near what can be done at most it comes and goes: would all
/// go on whenever it is gone for a moment, they would make the next one. After a burst nothing is lost by going on.
const LINGERS: Duration = Duration::from_millis(100);
/// Events of one partition.
const LITTLE: usize = 32;
/// Without one it does not rest while what it does is as fresh as this: nothing waits for it to be idle,
const FRESH: Duration = Duration::from_millis(25);
/// and then for a part of what its events are older.
const OF_AGE: u32 = 4;

impl Pace {
    /// `waiting` counts the callers that wait for an answer.
    #[must_use]
    pub fn new(now: fn() -> DateTime<Utc>, waiting: Arc<AtomicUsize>, limits: PaceLimits) -> Self {
        let began = Instant::now();
        let crowd = Crowd { since: None, until: began, booked: began };
        Pace(Some(Arc::new(Inner { now, waiting, limits, crowd: Mutex::new(crowd) })))
    }

    #[must_use]
    pub fn rest(&self, step: Stepped) -> Rest {
        let Some(inner) = &self.0 else { return Rest::default() };
        let Inner { now, limits, .. } = &**inner;
        // Clocks of two machines may differ; then it is shorter or longer within its bounds.
        let age = (now() - step.oldest).to_std().unwrap_or_default();
        if inner.is_crowded() && age < limits.far_behind {
            let most = inner.book(step.took * STANDS_BACK);
            Rest { least: step.took.min(most), most }
        } else if step.full {
            Rest::default()
        } else {
            Rest::of((age.saturating_sub(FRESH) / OF_AGE).min(limits.rest))
        }
    }

    /// How much the next step takes after one that took `now`, of `most` at most. Beside a crowd it is little: a step
    /// that has begun stands back for nobody. When the crowd is gone it becomes more, step by step.
    #[must_use]
    pub fn next_most(&self, now: usize, most: usize) -> usize {
        if self.is_crowded() { LITTLE.min(most) } else { now.saturating_mul(2).min(most) }
    }

    /// Rests. Dropped, it has ended early.
    pub async fn take(&self, rest: Rest) {
        if rest.is_none() {
            // The timer would take a millisecond for it.
            return;
        }
        let began = Instant::now();
        sleep(rest.least).await;
        while self.is_crowded() && began.elapsed() < rest.most {
            sleep(LOOK.min(rest.most)).await;
        }
        metrics::histogram!("daybook_rest_seconds").record(began.elapsed().as_secs_f64());
    }

    fn is_crowded(&self) -> bool {
        self.0.as_deref().is_some_and(Inner::is_crowded)
    }
}

impl Inner {
    fn is_crowded(&self) -> bool {
        let now = Instant::now();
        let mut crowd = self.crowd();
        if self.waiting.load(Ordering::Relaxed) >= self.limits.crowd {
            let lasted = now - *crowd.since.get_or_insert(now);
            crowd.until = now + lasted.min(LINGERS);
            return true;
        }
        if crowd.until <= now {
            crowd.since = None;
        }
        crowd.since.is_some()
    }

    /// Books a rest behind those of the other workers, and says how long it is until its end.
    fn book(&self, rest: Duration) -> Duration {
        let (now, most) = (Instant::now(), self.limits.stand_back);
        let mut crowd = self.crowd();
        // Of a crowd that was gone before its time no more is left than this.
        crowd.booked = crowd.booked.clamp(now, now + most) + rest;
        (crowd.booked - now).min(most)
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rest {
    #[must_use]
    pub fn of(least: Duration) -> Self {
        Rest { least, most: Duration::ZERO }
    }

    #[must_use]
    pub fn at_least(self, least: Duration) -> Self {
        Rest { least: self.least.max(least), ..self }
    }

    #[must_use]
    pub fn is_none(self) -> bool {
        self == Rest::default()
    }

    /// Whether it makes room for callers, and not only for more events to come together.
    #[must_use]
    pub fn makes_room(self) -> bool {
        !self.most.is_zero()
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.0.as_ref().map(|inner| inner.waiting.load(Ordering::Relaxed));
        f.debug_struct("Pace").field("waiting", &waiting).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_secs(12 * 60 * 60)
    }

    fn step(age_ms: u64, took_ms: u64, full: bool) -> Stepped {
        let oldest = noon() - Duration::from_millis(age_ms);
        Stepped { oldest, took: Duration::from_millis(took_ms), full }
    }

    fn pace(waiting: usize) -> Pace {
        Pace::new(noon, Arc::new(AtomicUsize::new(waiting)), PaceLimits::default())
    }

    #[test]
    fn a_fresh_event_is_followed_at_once_and_an_old_one_with_others() {
        let calm = pace(15);
        assert!(calm.rest(step(0, 3, false)).is_none());
        assert!(calm.rest(step(25, 3, false)).is_none());
        assert_eq!(calm.rest(step(33, 3, false)), Rest::of(Duration::from_millis(2)));
        assert_eq!(calm.rest(step(60_000, 3, false)), Rest::of(Duration::from_millis(50)));
        assert!(calm.rest(step(60_000, 3, true)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_comes_first_until_what_follows_is_far_behind() {
        let rest = |least, most| Rest {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
        };
        assert_eq!(pace(16).rest(step(0, 3, false)), rest(3, 21));
        assert_eq!(pace(16).rest(step(29_000, 400, true)), rest(400, 2_000));
        assert!(pace(16).rest(step(30_000, 100, true)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn beside_a_crowd_all_workers_share_an_eighth_of_the_time() {
        let crowded = pace(16);
        let most: Vec<_> = (0..4).map(|_| crowded.rest(step(0, 50, false)).most).collect();
        assert_eq!(most, [350, 700, 1_050, 1_400].map(Duration::from_millis));
        sleep(Duration::from_millis(1_400)).await;
        assert_eq!(crowded.rest(step(0, 50, false)).most, Duration::from_millis(350));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_stands_back_no_longer_than_the_crowd_is_there() {
        let waiting = Arc::new(AtomicUsize::new(16));
        let pace = Pace::new(noon, waiting.clone(), PaceLimits::default());
        let rest = pace.rest(step(0, 50, false));
        let began = Instant::now();
        pace.take(rest).await;
        assert_eq!(began.elapsed(), Duration::from_millis(350));
        let rest = pace.rest(step(0, 50, false));
        let began = Instant::now();
        let leaves = async {
            sleep(Duration::from_millis(95)).await;
            waiting.store(15, Ordering::Relaxed);
        };
        tokio::join!(pace.take(rest), leaves);
        // It had been there for longer than a crowd counts when it is gone.
        let last_seen = Duration::from_millis(90);
        assert_eq!(began.elapsed(), last_seen + LINGERS);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_burst_it_goes_on_at_once() {
        let waiting = Arc::new(AtomicUsize::new(16));
        let pace = Pace::new(noon, waiting.clone(), PaceLimits::default());
        let rest = pace.rest(step(0, 10, false));
        waiting.store(0, Ordering::Relaxed);
        let began = Instant::now();
        pace.take(rest).await;
        assert_eq!(began.elapsed(), Duration::from_millis(10), "as long as the step took");
    }

    #[tokio::test(start_paused = true)]
    async fn beside_a_crowd_a_step_is_small_and_grows_when_it_is_gone() {
        let waiting = Arc::new(AtomicUsize::new(16));
        let pace = Pace::new(noon, waiting.clone(), PaceLimits::default());
        assert_eq!(pace.next_most(500, 500), 32);
        assert_eq!(pace.next_most(20, 20), 20);
        waiting.store(0, Ordering::Relaxed);
        assert_eq!(pace.next_most(32, 500), 64);
        assert_eq!(pace.next_most(400, 500), 500);
    }

    #[test]
    fn another_machines_clock_may_be_ahead() {
        let ahead = Stepped { oldest: noon() + Duration::from_secs(5), ..step(0, 3, false) };
        assert!(pace(0).rest(ahead).is_none());
    }

    #[test]
    fn without_a_clock_nothing_rests() {
        assert!(Pace::default().rest(step(60_000, 100, false)).is_none());
    }
}
