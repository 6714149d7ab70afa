//! A circuit breaker: when whoever is called fails several times in a row, he is left alone for a pause that
//! doubles, and then one call goes through to see.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// How many calls in a row may fail.
    pub failures: u32,
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 10,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(15),
        }
    }
}

/// Stands before one target. Clones share its state, and its settings may change at any time.
#[derive(Clone)]
pub struct Breaker {
    /// Whom it stands before, in the log and in metrics.
    target: Arc<str>,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    settings: BreakerSettings,
    state: State,
    /// Calls that were let out to see. What began before the last of them says nothing of how it is now.
    trials: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        pause: Duration,
    },
    /// One call is out to see.
    Trying {
        pause: Duration,
    },
}

/// Leave to make one call. Dropped without a word, it counts as a failure.
pub struct Permit {
    breaker: Breaker,
    /// How many had been let out to see when it was given.
    trials: u64,
    succeeded: bool,
}

impl Permit {
    /// Whoever was called is in order, whatever he said.
    pub fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.breaker.report(self.trials, self.succeeded);
    }
}

impl Breaker {
    #[must_use]
    pub fn new(target: &str, settings: BreakerSettings) -> Self {
        let inner = Inner { settings, state: State::Closed { failures: 0 }, trials: 0 };
        let breaker = Self { target: target.into(), inner: Arc::new(Mutex::new(inner)) };
        breaker.show(false);
        breaker
    }

    /// From now on these count. It stays open or closed as it is, with the failures that it has seen; and a pause that has
    /// begun ends as it would have.
    pub fn set(&self, settings: BreakerSettings) {
        self.lock().settings = settings;
    }

    /// `None` while the target is left alone.
    #[must_use]
    pub fn permit(&self) -> Option<Permit> {
        let mut inner = self.lock();
        match inner.state {
            State::Closed { .. } => {}
            State::Open { until, pause } if Instant::now() >= until => {
                inner.state = State::Trying { pause };
                inner.trials += 1;
            }
            State::Open { .. } | State::Trying { .. } => return None,
        }
        Some(Permit { breaker: self.clone(), trials: inner.trials, succeeded: false })
    }

    fn report(&self, trials: u64, succeeded: bool) {
        let mut inner = self.lock();
        if trials != inner.trials {
            return;
        }
        let settings = inner.settings;
        inner.state = match (inner.state, succeeded) {
            (_, true) => State::Closed { failures: 0 },
            (State::Closed { failures }, false) if failures + 1 < settings.failures => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, false) => self.open(settings.first_pause),
            (State::Trying { pause }, false) => self.open((pause * 2).min(settings.longest_pause)),
            // A call from before it opened.
            (open @ State::Open { .. }, false) => open,
        };
        self.show(!matches!(inner.state, State::Closed { .. }));
    }

    fn show(&self, open: bool) {
        let target = self.target.to_string();
        let open = if open { 1.0 } else { 0.0 };
        metrics::gauge!("daybook_breaker_open", "target" => target).set(open);
    }

    fn open(&self, pause: Duration) -> State {
        let (whom, pause_ms) = (&*self.target, pause.as_millis() as u64);
        tracing::warn!(whom, pause_ms, "who fails again and again is left alone");
        State::Open { until: Instant::now() + pause, pause }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        let settings = BreakerSettings {
            failures: 2,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(3),
        };
        Breaker::new("target", settings)
    }

    fn fail(breaker: &Breaker) {
        drop(breaker.permit().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_lets_one_call_see() {
        let breaker = breaker();
        fail(&breaker);
        breaker.permit().unwrap().succeeded();
        fail(&breaker);
        fail(&breaker);
        assert!(breaker.permit().is_none());

        tokio::time::advance(Duration::from_secs(1)).await;
        let trial = breaker.permit().unwrap();
        assert!(breaker.permit().is_none(), "one call is enough to see");
        trial.succeeded();
        assert!(breaker.permit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_call_that_fails_late_is_not_taken_for_the_one_that_was_let_out_to_see() {
        let breaker = breaker();
        let older: Vec<_> = (0..3).map(|_| breaker.permit().unwrap()).collect();
        fail(&breaker);
        fail(&breaker);
        tokio::time::advance(Duration::from_secs(1)).await;
        let trial = breaker.permit().unwrap();
        let mut older = older.into_iter();
        drop(older.next());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(breaker.permit().is_none(), "it is still out");
        trial.succeeded();
        drop(older);
        assert!(breaker.permit().is_some(), "it answers now, whatever it did before");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_up_to_its_limit() {
        let breaker = breaker();
        fail(&breaker);
        fail(&breaker);
        for pause in [1, 2, 3, 3] {
            tokio::time::advance(Duration::from_millis(pause * 1_000 - 1)).await;
            assert!(breaker.permit().is_none());
            tokio::time::advance(Duration::from_millis(1)).await;
            fail(&breaker);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_settings_count_from_now_on_and_what_it_knows_it_keeps() {
        let breaker = breaker();
        fail(&breaker);
        fail(&breaker);
        let (failures, first_pause) = (3, Duration::from_secs(5));
        breaker.set(BreakerSettings { failures, first_pause, longest_pause: first_pause });
        assert!(breaker.permit().is_none(), "it is as open as it was");
        tokio::time::advance(Duration::from_secs(1)).await;
        breaker.permit().unwrap().succeeded();
        fail(&breaker);
        fail(&breaker);
        breaker.set(BreakerSettings { failures: 2, first_pause, longest_pause: first_pause });
        assert!(breaker.permit().is_some(), "two failures were not enough when they happened");
        assert!(breaker.permit().is_none(), "and that one was dropped");
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(breaker.permit().is_none());
    }
}
