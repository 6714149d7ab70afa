//! Whoever guesses is made to wait, and nobody else who comes through the same proxy.

use crate::caller::as_caller;
use quick_cache::sync::Cache;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Counts wrong credentials by the caller's address, in windows of time.
pub(super) struct Throttle {
    failures: u32,
    window: Duration,
    seen: Cache<IpAddr, Arc<Seen>>,
}

struct Seen {
    since: Instant,
    failures: AtomicU32,
}

impl Throttle {
    pub(super) fn new(failures: u32, window: Duration, addresses: usize) -> Self {
        Throttle { failures, window, seen: Cache::new(addresses) }
    }

    /// How long nothing unknown is looked at from this address, if it has failed too often.
    pub(super) fn waits(&self, address: IpAddr) -> Option<Duration> {
        let seen = self.seen.get(&as_caller(address))?;
        let left = self.window.checked_sub(seen.since.elapsed())?;
        (seen.failures.load(Ordering::Relaxed) >= self.failures).then_some(left)
    }

    pub(super) fn failed(&self, address: IpAddr) {
        let caller = as_caller(address);
        let seen = self.seen.get(&caller).filter(|it| it.since.elapsed() < self.window);
        match seen {
            Some(seen) => {
                if seen.failures.fetch_add(1, Ordering::Relaxed) + 1 == self.failures {
                    let seconds = self.window.as_secs();
                    tracing::warn!(target: "access", %address, seconds,
                        "too many wrong tokens came from here; unknown ones are not looked at until the window is over");
                }
            }
            None => {
                let seen = Seen { since: Instant::now(), failures: AtomicU32::new(1) };
                self.seen.insert(caller, Arc::new(seen));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_failed_too_often_waits_for_the_rest_of_the_window() {
        let throttle = Throttle::new(2, Duration::from_secs(60), 100);
        let (one, other) = ("2001:db8::1".parse().unwrap(), "2001:db8:0:1::1".parse().unwrap());
        throttle.failed(one);
        assert_eq!(throttle.waits(one), None);
        throttle.failed("2001:db8::2".parse().unwrap());
        assert_eq!(throttle.waits(one), Some(Duration::from_secs(60)));
        assert_eq!(throttle.waits(other), None);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(throttle.waits(one), None);
        throttle.failed(one);
        assert_eq!(throttle.waits(one), None);
    }

    #[test]
    fn it_remembers_no_more_addresses_than_it_may() {
        let throttle = Throttle::new(1, Duration::from_secs(60), 100);
        for address in 0..10_000_u32 {
            throttle.failed(IpAddr::V4(address.into()));
        }
        assert!(throttle.seen.len() <= 100);
    }
}
