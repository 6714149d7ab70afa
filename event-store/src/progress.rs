//! How far something is behind, and whether it moves. Two signals, because either alone can lie: what is far
//! behind may be catching up, and what hangs does not say so itself.

use std::time::Duration;
use tokio::time::Instant;

/// How something that follows is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `orders/payments`: the follower and the log; `payments`: the relay of a log, the dues of a service.
    pub name: String,
    /// What is left to do, in events or dues.
    pub behind: i64,
    /// How long it has done nothing though there was something to do.
    pub still: Duration,
}

/// Watches a watermark from the outside.
#[derive(Clone, Copy, Debug)]
pub struct Watermark {
    at: i64,
    moved: Instant,
}

impl Default for Watermark {
    fn default() -> Self {
        Watermark { at: -1, moved: Instant::now() }
    }
}

impl Watermark {
    /// Takes note of where the watermark is and of how much is left; gives how long it has stood still
    /// though something was left, as far as looks at it tell.
    pub fn look(&mut self, at: i64, behind: i64) -> Duration {
        let now = Instant::now();
        if at != self.at || behind == 0 {
            *self = Watermark { at, moved: now };
        }
        now - self.moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watermark_stands_still_only_while_there_is_work() {
        let mut watermark = Watermark::default();
        let second = Duration::from_secs(1);
        watermark.look(5, 0);
        tokio::time::advance(second).await;
        assert_eq!(watermark.look(5, 0), Duration::ZERO, "nothing to do");
        tokio::time::advance(second).await;
        assert_eq!(watermark.look(5, 3), second);
        tokio::time::advance(second).await;
        assert_eq!(watermark.look(5, 4), 2 * second, "more to do is no move");
        assert_eq!(watermark.look(6, 3), Duration::ZERO);
    }
}
