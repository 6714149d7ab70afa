//! What every queue, batch, pool, wait and retry is bounded by.

mod handed;

use serde::Deserialize;

use super::source;

/// The bounds in force. The fields are keys; what they mean is said with those.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub connections: usize,
    pub idle_connection_s: u64,
    pub stalled_connection_s: u64,
    pub accept_retry_ms: u64,
    pub leftover_bytes: usize,
    pub leftover_ms: u64,
    pub commands: usize,
    pub queries: usize,
    pub crowd: usize,
    pub crowd_burst_ms: u64,
    pub crowd_delay_ms: u64,
    pub callers_known: usize,
    pub batches: usize,
    pub batch_lines: usize,
    pub batch_line_bytes: usize,
    pub batch_idle_s: u64,
    pub min_position_wait_ms: u64,
    pub listeners: usize,
    pub past_at_once: usize,
    pub price_look_s: u64,
    pub price_batch: usize,
    pub stream_queue: usize,
    pub decider_queue: usize,
    pub chain: usize,
    pub conflicts: u32,
    pub turns: usize,
    pub turn_ms: u64,
    pub turn_wait_ms: u64,
    pub state_cache_bytes: u64,
    pub snapshot_events: i64,
    pub snapshot_bytes: usize,
    pub snapshot_queue: usize,
    pub lane_queue: usize,
    pub append_batch: usize,
    pub append_batch_bytes: usize,
    pub event_bytes: usize,
    pub call_timeout_s: u64,
    pub append_wait_s: u64,
    pub append_lock_s: u64,
    pub lane_retry_first_ms: u64,
    pub lane_retry_most_ms: u64,
    pub session_s: u64,
    pub session_connect_s: u64,
    pub pool_wait_s: u64,
    pub pool_idle_s: u64,
    pub pool_answer_s: u64,
    pub watch_answer_s: u64,
    pub relay_window: u32,
    pub relay_page: u32,
    pub relay_alone_ms: u64,
    pub relay_queue_bytes: u32,
    pub relay_batch_bytes: u32,
    pub relay_poll_ms: u64,
    pub relay_stall_s: u64,
    pub relay_start_s: u64,
    pub relay_drain_ms: u64,
    pub relay_lock_ms: u64,
    pub kafka_answer_s: u64,
    pub kafka_retry_first_ms: u64,
    pub kafka_retry_most_ms: u64,
    pub kafka_retry_refused_s: u64,
    pub kafka_session_ms: u64,
    pub kafka_join_s: u64,
    pub follow_batch: usize,
    pub follow_timeout_s: u64,
    pub follow_retry_first_ms: u64,
    pub follow_retry_most_ms: u64,
    pub follow_kafka_wait_ms: u64,
    pub feed_buffer: usize,
    pub feed_take: usize,
    pub parked: usize,
    pub parked_batch: u32,
    pub parked_lock_ms: u64,
    pub pace_crowd: usize,
    pub pace_stand_back_ms: u64,
    pub pace_far_behind_s: u64,
    pub pace_rest_ms: u64,
    pub lock_retry_ms: u64,
    pub lock_spare_s: u64,
    pub lock_answer_s: u64,
    pub reactions_at_once: usize,
    pub generation_switch_s: u64,
    pub requests_at_once: usize,
    pub calls_at_once: usize,
    pub due_lease_s: u64,
    pub due_retry_first_ms: u64,
    pub due_retry_most_ms: u64,
    pub due_poll_ms: u64,
    pub due_away_ms: u64,
    pub due_look_ms: u64,
    pub due_states: usize,
    pub provider_connect_s: u64,
    pub provider_answer_s: u64,
    pub provider_failures: u32,
    pub provider_pause_first_ms: u64,
    pub provider_pause_most_ms: u64,
    pub peer_connect_ms: u64,
    pub peer_answer_ms: u64,
    pub peer_deadline_ms: u64,
    pub peer_idle_ms: u64,
    pub peer_retries: usize,
    pub peer_retry_first_ms: u64,
    pub peer_retry_most_ms: u64,
    pub peer_retry_percent: u32,
    pub peer_retry_floor: u32,
    pub peer_failures: u32,
    pub peer_pause_first_ms: u64,
    pub peer_pause_most_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        source::defaults().limits().expect("the defaults are of their types; tests begin with them")
    }
}

/// A key whose value has to be at most so much, and how that is told.
pub(super) type AtMost = (&'static str, u64, u64, &'static str);

impl Limits {
    /// What bounds have to do with each other, and with what is bounded elsewhere.
    pub(super) fn at_most(&self) -> [AtMost; 15] {
        let wide = |number: usize| number as u64;
        [
            (
                "relay_page",
                self.relay_page.into(),
                self.relay_window.into(),
                "at most `relay_window`",
            ),
            ("append_batch", wide(self.append_batch), 2_000, "at most 2000"),
            ("event_bytes", wide(self.event_bytes), 64 << 20, "at most 67108864"),
            ("relay_queue_bytes", self.relay_queue_bytes.into(), 1 << 30, "at most 1073741824"),
            ("relay_batch_bytes", self.relay_batch_bytes.into(), 1 << 26, "at most 67108864"),
            ("follow_batch", wide(self.follow_batch), 10_000, "at most 10000"),
            (
                "lane_retry_first_ms",
                self.lane_retry_first_ms,
                self.lane_retry_most_ms,
                "at most `lane_retry_most_ms`",
            ),
            (
                "follow_retry_first_ms",
                self.follow_retry_first_ms,
                self.follow_retry_most_ms,
                "at most `follow_retry_most_ms`",
            ),
            (
                "kafka_retry_first_ms",
                self.kafka_retry_first_ms,
                self.kafka_retry_most_ms,
                "at most `kafka_retry_most_ms`",
            ),
            (
                "due_retry_first_ms",
                self.due_retry_first_ms,
                self.due_retry_most_ms,
                "at most `due_retry_most_ms`",
            ),
            (
                "provider_pause_first_ms",
                self.provider_pause_first_ms,
                self.provider_pause_most_ms,
                "at most `provider_pause_most_ms`",
            ),
            (
                "peer_retry_first_ms",
                self.peer_retry_first_ms,
                self.peer_retry_most_ms,
                "at most `peer_retry_most_ms`",
            ),
            (
                "peer_pause_first_ms",
                self.peer_pause_first_ms,
                self.peer_pause_most_ms,
                "at most `peer_pause_most_ms`",
            ),
            (
                "peer_answer_ms",
                self.peer_answer_ms,
                self.peer_deadline_ms,
                "at most `peer_deadline_ms`",
            ),
            ("peer_retry_percent", self.peer_retry_percent.into(), 100, "at most 100"),
        ]
    }
}
