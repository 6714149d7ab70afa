//! Whatever a process holds in Postgres is lent. A process that ended takes its sessions with it, but one that stands
//! still (stopped, frozen with its container, or hung as a whole) keeps them: its kernel goes on to answer for it. So
//! Postgres ends a session that holds locks and says nothing, and who is at work says something in time.

use crate::Database;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// So many times in a lease something is said.
const WORDS: u32 = 3;

impl Database {
    /// The same database for a session that holds locks, which somebody has to [`keep`].
    #[must_use]
    pub(crate) fn leased(&self) -> Self {
        self.with_option(&format!("idle_session_timeout={}", self.limits.lease.as_millis()))
    }

    /// The same database for sessions that hold rows: none stands still within a transaction.
    #[must_use]
    pub(crate) fn brisk(&self) -> Self {
        let lease_ms = self.limits.lease.as_millis();
        self.with_option(&format!("idle_in_transaction_session_timeout={lease_ms}"))
    }
}

/// Has something said in time, again and again, until nobody says it any more, or nobody hears it.
pub(crate) async fn keep<Said: Future<Output = bool>>(lease: Duration, say: impl Fn() -> Said) {
    let mut word = interval(lease / WORDS);
    word.set_missed_tick_behavior(MissedTickBehavior::Delay);
    word.tick().await;
    while say().await {
        word.tick().await;
    }
}
