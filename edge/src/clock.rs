//! The only place that reads the clock.

use chrono::{DateTime, SubsecRound, Utc};

/// The present, in whole microseconds, because that is what Postgres keeps: an instant that went
/// through the log compares equal to the one that was sent.
#[expect(clippy::disallowed_methods, reason = "this is the one reader of the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_instant_has_no_part_that_postgres_would_lose() {
        assert_eq!(super::now().timestamp_subsec_nanos() % 1_000, 0);
    }
}
