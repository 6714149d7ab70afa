//! How long what follows the log rests between two steps. What comes together costs less than what comes one
//! by one: an event that is old already may wait a little longer for the next ones, and while callers wait for
//! answers, what nobody waits for stands back.

use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pace of one process; clones are one. The default never rests.
#[derive(Clone, Default)]
pub struct Pace(Option<Inner>);

#[derive(Clone)]
struct Inner {
    now: fn() -> DateTime<Utc>,
    waiting: Arc<AtomicUsize>,
    limits: PaceLimits,
}

/// Bounds of a [`Pace`].
#[derive(Clone, Debug)]
pub struct PaceLimits {
    /// So many callers wait at once only if more is asked for than is answered at leisure.
    pub crowd: usize,
    /// Beside a crowd a worker works a tenth of the time, and rests no longer than this at once, nor longer than the
    /// crowd is there,
    pub stand_back: Duration,
    /// but not when it is so far behind: then it has its share, and the door lets in fewer.
    pub far_behind: Duration,
    /// Without a crowd it rests for a fraction of what its events have waited already, and no longer than this.
    pub rest: Duration,
}

impl Default for PaceLimits {
    fn default() -> Self {
        PaceLimits {
            crowd: 4,
            stand_back: Duration::from_millis(500),
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

/// So much longer than its step took a worker rests beside a crowd.
const STANDS_BACK: u32 = 9;
/// Without one it does not rest while what it does is as fresh as this: nothing waits for it to be idle,
const FRESH: Duration = Duration::from_millis(25);
/// and then for a part of what its events are older.
const OF_AGE: u32 = 4;

impl Pace {
    /// `waiting` counts the callers that wait for an answer.
    #[must_use]
    pub fn new(now: fn() -> DateTime<Utc>, waiting: Arc<AtomicUsize>, limits: PaceLimits) -> Self {
        Pace(Some(Inner { now, waiting, limits }))
    }

    #[must_use]
    pub fn rest(&self, step: Stepped) -> Rest {
        let Some(Inner { now, limits, .. }) = &self.0 else { return Rest::default() };
        // Clocks of two machines may differ; then it is shorter or longer within its bounds.
        let age = (now() - step.oldest).to_std().unwrap_or_default();
        if self.is_crowded() && age < limits.far_behind {
            let most = (step.took * STANDS_BACK).min(limits.stand_back);
            Rest { least: step.took.min(most), most }
        } else if step.full {
            Rest::default()
        } else {
            Rest::of((age.saturating_sub(FRESH) / OF_AGE).min(limits.rest))
        }
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
        let waits = |inner: &Inner| inner.waiting.load(Ordering::Relaxed) >= inner.limits.crowd;
        self.0.as_ref().is_some_and(waits)
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
        let calm = pace(3);
        assert!(calm.rest(step(0, 3, false)).is_none());
        assert!(calm.rest(step(25, 3, false)).is_none());
        assert_eq!(calm.rest(step(33, 3, false)), Rest::of(Duration::from_millis(2)));
        assert_eq!(calm.rest(step(60_000, 3, false)), Rest::of(Duration::from_millis(50)));
        assert!(calm.rest(step(60_000, 3, true)).is_none());
    }

    #[test]
    fn a_crowd_comes_first_until_what_follows_is_far_behind() {
        let crowded = pace(4);
        let rest = |least, most| Rest {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
        };
        assert_eq!(crowded.rest(step(0, 3, false)), rest(3, 27));
        assert_eq!(crowded.rest(step(29_000, 100, true)), rest(100, 500));
        assert!(crowded.rest(step(30_000, 100, true)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_stands_back_no_longer_than_the_crowd_is_there() {
        let waiting = Arc::new(AtomicUsize::new(4));
        let pace = Pace::new(noon, waiting.clone(), PaceLimits::default());
        let rest = pace.rest(step(0, 50, false));
        let began = Instant::now();
        pace.take(rest).await;
        assert_eq!(began.elapsed(), Duration::from_millis(450));
        let began = Instant::now();
        let leaves = async {
            sleep(Duration::from_millis(95)).await;
            waiting.store(3, Ordering::Relaxed);
        };
        tokio::join!(pace.take(rest), leaves);
        assert_eq!(began.elapsed(), Duration::from_millis(100));
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
