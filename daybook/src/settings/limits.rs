//! What every queue, batch, wait and retry is bounded by.

use std::time::Duration;

use edge::AdmissionLimits;
use event_store::dues::DueLimits;
use event_store::follow::FollowLimits;
use event_store::kafka::RelaySettings;
use event_store::{LogSettings, TransactLimits};
use sagas::provider::{BreakerSettings, Timeouts};
use serde::Deserialize;

/// The bounds in force. The fields are keys; what they mean is said with those.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub connections: usize,
    pub commands: usize,
    pub queries: usize,
    pub overload_ms: u64,
    pub min_position_wait_ms: u64,
    pub stream_queue: usize,
    pub decider_queue: usize,
    pub chain: usize,
    pub conflicts: u32,
    pub state_cache_bytes: u64,
    pub lane_queue: usize,
    pub append_batch: usize,
    pub append_batch_bytes: usize,
    pub event_bytes: usize,
    pub call_timeout_s: u64,
    pub append_wait_s: u64,
    pub relay_window: u32,
    pub relay_page: u32,
    pub relay_stall_s: u64,
    pub follow_timeout_s: u64,
    pub parked: usize,
    pub requests_at_once: usize,
    pub calls_at_once: usize,
    pub due_lease_s: u64,
    pub due_retry_first_ms: u64,
    pub due_retry_most_ms: u64,
    pub due_poll_ms: u64,
    pub provider_connect_s: u64,
    pub provider_answer_s: u64,
    pub provider_failures: u32,
    pub provider_pause_first_ms: u64,
    pub provider_pause_most_ms: u64,
}

impl Limits {
    #[must_use]
    pub fn of_commands(&self) -> AdmissionLimits {
        let delay = Some(Duration::from_millis(self.overload_ms));
        AdmissionLimits { most: self.commands, delay }
    }

    /// Some queries take their time: how long they are inside says nothing of the others.
    #[must_use]
    pub fn of_queries(&self) -> AdmissionLimits {
        AdmissionLimits { most: self.queries, delay: None }
    }

    #[must_use]
    pub fn min_position_wait(&self) -> Duration {
        Duration::from_millis(self.min_position_wait_ms)
    }

    #[must_use]
    pub fn transact(&self) -> TransactLimits {
        TransactLimits {
            cache_bytes: self.state_cache_bytes,
            stream_queue: self.stream_queue,
            queue: self.decider_queue,
            chain: self.chain,
            conflicts: self.conflicts,
        }
    }

    /// Those of a log, with what else it is opened with.
    #[must_use]
    pub fn log(&self, settings: LogSettings) -> LogSettings {
        LogSettings {
            queue: self.lane_queue,
            batch: self.append_batch,
            batch_bytes: self.append_batch_bytes,
            event_bytes: self.event_bytes,
            call_timeout: Duration::from_secs(self.call_timeout_s),
            patience: Duration::from_secs(self.append_wait_s),
            ..settings
        }
    }

    /// Those of a relay, with what else it is run with.
    #[must_use]
    pub fn relay(&self, settings: RelaySettings) -> RelaySettings {
        let (window, page) = (i64::from(self.relay_window), i64::from(self.relay_page));
        let stall = Duration::from_secs(self.relay_stall_s);
        RelaySettings { window, page, stall, ..settings }
    }

    #[must_use]
    pub fn follow(&self) -> FollowLimits {
        let call_timeout = Duration::from_secs(self.follow_timeout_s);
        FollowLimits { parked: self.parked, call_timeout }
    }

    #[must_use]
    pub fn requests(&self) -> DueLimits {
        DueLimits {
            concurrency: self.requests_at_once,
            lease: Duration::from_secs(self.due_lease_s),
            retry_first: Duration::from_millis(self.due_retry_first_ms),
            retry_most: Duration::from_millis(self.due_retry_most_ms),
            poll: Duration::from_millis(self.due_poll_ms),
        }
    }

    #[must_use]
    pub fn calls(&self) -> DueLimits {
        DueLimits { concurrency: self.calls_at_once, ..self.requests() }
    }

    #[must_use]
    pub fn provider_timeouts(&self) -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(self.provider_connect_s),
            answer: Duration::from_secs(self.provider_answer_s),
        }
    }

    #[must_use]
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            failures: self.provider_failures,
            first_pause: Duration::from_millis(self.provider_pause_first_ms),
            longest_pause: Duration::from_millis(self.provider_pause_most_ms),
        }
    }
}
