//! The owner of a log elsewhere may be away for a while, as he is when he is restarted. Nobody waits for a rebuild, so it
//! waits for him, and says so. So it does for Postgres where nobody else can say what came to pass.

use crate::query::chain;
use event_store::StoreError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long he is waited for; and how long while live followers wait for the rebuild.
pub(super) const LONG: Duration = Duration::from_secs(600);
pub(super) const SHORT: Duration = Duration::from_secs(5);
/// How soon he is asked again. Before him stands a breaker, whose pauses grow.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Keeps why somebody is waited for just now, if somebody is.
#[derive(Default)]
pub(super) struct Patience(Mutex<Option<String>>);

impl Patience {
    pub(super) fn why(&self) -> Option<String> {
        self.lock().clone()
    }

    /// What a log says. For so long its owner is asked again if he does not answer, which is told each time.
    ///
    /// # Errors
    /// What he said last, or at once what no waiting mends.
    pub(super) async fn ask<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        ask: impl Fn() -> F,
        most: Duration,
        tell: impl Fn(),
    ) -> Result<T, StoreError> {
        let is_away = |error: &StoreError| {
            if let StoreError::Elsewhere { why, passes: true, .. } = error {
                return Some(why.clone());
            }
            None
        };
        self.insist(ask, is_away, most, tell).await
    }

    /// What Postgres says of what was asked of it, and not answered. It is asked for as long as it is away.
    ///
    /// # Errors
    /// What it said last, or at once what no waiting mends.
    pub(super) async fn look_up<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        ask: impl Fn() -> F,
        tell: impl Fn(),
    ) -> Result<T, StoreError> {
        let is_away = |error: &StoreError| {
            let why = || format!("a commit was not answered, and {}", chain(error));
            error.is_transient().then(why)
        };
        self.insist(ask, is_away, LONG, tell).await
    }

    async fn insist<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        ask: impl Fn() -> F,
        is_away: impl Fn(&StoreError) -> Option<String>,
        most: Duration,
        tell: impl Fn(),
    ) -> Result<T, StoreError> {
        let until = Instant::now() + most;
        let mut waits = false;
        loop {
            let said = ask().await;
            let away = said.as_ref().err().and_then(&is_away).filter(|_| Instant::now() < until);
            let Some(why) = away else {
                if waits {
                    *self.lock() = None;
                }
                return said;
            };
            if !waits {
                tracing::warn!(why, "a rebuild waits for whoever does not answer");
            }
            waits = true;
            *self.lock() = Some(why);
            tell();
            sleep(ASK_AGAIN).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Asks an owner who is away for so many questions; how often he was asked, and what came of it.
    async fn asked(away: u32, passes: bool, patience: &Patience) -> (u32, bool) {
        let questions = Cell::new(0);
        let ask = async || {
            questions.set(questions.get() + 1);
            if questions.get() <= away {
                let (service, why) = ("orders".to_owned(), "he is away".to_owned());
                return Err(StoreError::Elsewhere { service, why, passes });
            }
            Ok(())
        };
        let tell = || assert_eq!(patience.why().as_deref(), Some("he is away"));
        let said = patience.ask(ask, SHORT, tell).await;
        (questions.get(), said.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_who_is_away_is_asked_again_until_patience_ends() {
        let patience = Patience::default();
        assert_eq!(asked(10, true, &patience).await, (11, true));
        assert_eq!(patience.why(), None);
        let began = Instant::now();
        assert_eq!(asked(u32::MAX, true, &patience).await, (26, false));
        assert_eq!((began.elapsed(), patience.why()), (SHORT, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_to_pass_is_asked_until_postgres_answers_or_patience_ends() {
        let (patience, questions) = (Patience::default(), Cell::new(0));
        let asked = async |away: u32| {
            questions.set(0);
            let ask = async || {
                questions.set(questions.get() + 1);
                if questions.get() <= away { Err(StoreError::Silent) } else { Ok(()) }
            };
            patience.look_up(ask, || assert!(patience.why().is_some())).await.is_ok()
        };
        assert!(asked(10).await);
        assert_eq!((questions.get(), patience.why()), (11, None));
        let began = Instant::now();
        assert!(!asked(u32::MAX).await);
        assert_eq!((began.elapsed(), patience.why()), (LONG, None));
        let broken = async || Err::<(), _>(StoreError::Other("broken".to_owned()));
        assert!(patience.look_up(broken, || panic!("nobody waits")).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_waiting_mends_is_said_at_once() {
        assert_eq!(asked(10, false, &Patience::default()).await, (1, false));
    }
}
