//! Turns. While several processes append to one stream, each has it for a while for itself: it decides on the state
//! that it keeps, as if it were alone, instead of on one that is outdated before it is used. Postgres gives the turns
//! in the order in which they were asked for. Nothing rests on them but speed: an append is checked against its stream
//! whether it has a turn or not, and who gets none in time goes on without.

use crate::{DatabaseLimits, Log, StoreError};
use deadpool_postgres::{Object, Pool};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Bounds of turns.
#[derive(Clone, Copy, Debug)]
pub struct TurnLimits {
    /// Connections that wait for a turn or have one: streams that this process can have turns of at once.
    pub most: usize,
    /// How long a process that has more to append keeps a stream from the others.
    pub length: Duration,
    /// How long a turn is waited for.
    pub wait: Duration,
}

impl Default for TurnLimits {
    fn default() -> Self {
        let (length, wait) = (Duration::from_millis(20), Duration::from_secs(1));
        TurnLimits { most: 4, length, wait }
    }
}

impl TurnLimits {
    pub(crate) fn pool(&self, database: &crate::Database) -> Result<Pool, StoreError> {
        // Who is gone must not stand in the queue for long.
        let lock_timeout = format!("lock_timeout={}", self.wait.as_millis());
        database.with_option(&lock_timeout).pool("daybook turn", self.most)
    }
}

/// The turn of a process. Dropped, it goes with its session.
pub(crate) struct Turn {
    session: Option<Object>,
    name: String,
    ends: Instant,
    answer: Duration,
}

/// Whoever stands still has it for a lease of so many milliseconds, and not for as long as he stands.
const TAKE: &str = "select pg_advisory_lock(hashtextextended($1, 0)), \
     set_config('idle_session_timeout', $2, false)";
const GIVE_BACK: &str = "select pg_advisory_unlock(hashtextextended($1, 0)), \
     set_config('idle_session_timeout', $2, false)";

impl Log {
    /// Waits for the turn of a stream; none if there is too much to wait for.
    pub(crate) async fn turn(&self, stream: &str) -> Option<Turn> {
        let (name, limits) = (format!("{}/turn/{stream}", self.service()), self.0.turn);
        let began = Instant::now();
        let taking = async {
            let session = self.0.turns.get().await?;
            let DatabaseLimits { lock_answer: answer, lease, .. } = self.0.database.limits;
            let mut turn = Turn { session: Some(session), name, ends: began, answer };
            turn.ask(TAKE, lease).await?;
            turn.ends = Instant::now() + limits.length;
            Ok::<_, StoreError>(turn)
        };
        let taken = match timeout(limits.wait, taking).await {
            Ok(Ok(turn)) => Some(turn),
            Ok(Err(error)) => {
                tracing::debug!(stream, %error, "no turn was given");
                None
            }
            Err(_elapsed) => None,
        };
        count(u64::from(taken.is_some()), u64::from(taken.is_none()));
        taken
    }
}

/// Turns that were given, and those that were waited for in vain.
pub(crate) fn count(given: u64, missed: u64) {
    metrics::counter!("daybook_turns_total").increment(given);
    metrics::counter!("daybook_turns_missed_total").increment(missed);
}

impl Turn {
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    async fn ask(&self, sql: &str, lease: Duration) -> Result<(), StoreError> {
        let Some(session) = &self.session else { return Ok(()) };
        let statement = session.prepare_cached(sql).await?;
        session.execute(&statement, &[&self.name, &lease.as_millis().to_string()]).await?;
        Ok(())
    }

    /// Leaves the stream to others.
    pub(crate) async fn end(mut self) {
        // The session rests in its pool, for as long as nobody wants it.
        let giving_back = self.ask(GIVE_BACK, Duration::ZERO);
        if let Ok(Ok(())) = timeout(self.answer, giving_back).await {
            self.session = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // Not back into the pool: whoever took it next would have this turn too.
            drop(Object::take(session));
        }
    }
}
