//! The bounds of the write path: what waits for a stream, for a lane, for Postgres.

use super::{Key, bound};

pub(super) const KEYS: &[Key] = &[
    bound(
        "stream_queue",
        "5000",
        "NUMBER",
        "Commands that may wait for one stream",
        "daybook_transact_queued",
    ),
    bound(
        "decider_queue",
        "20000",
        "NUMBER",
        "Commands that may wait for the streams of one kind",
        "daybook_transact_queued",
    ),
    bound(
        "chain",
        "256",
        "NUMBER",
        "Commands to one stream that are decided and appended together",
        "daybook_transact_chain_commands",
    ),
    bound(
        "conflicts",
        "20",
        "NUMBER",
        "How often a command is decided again after another process was faster",
        "daybook_transact_conflicts_total",
    ),
    bound(
        "state_cache_bytes",
        "67108864",
        "BYTES",
        "Folded states that are kept, for each kind of stream",
        "daybook_transact_cache_bytes",
    ),
    bound(
        "lane_queue",
        "10000",
        "NUMBER",
        "Appends that may wait for one connection",
        "daybook_lane_queued",
    ),
    bound(
        "append_batch",
        "500",
        "NUMBER",
        "Appends in one call of Postgres",
        "daybook_append_batch_chains",
    ),
    bound(
        "append_batch_bytes",
        "4194304",
        "BYTES",
        "Payloads in one call of Postgres",
        "daybook_append_batch_bytes",
    ),
    bound(
        "event_bytes",
        "900000",
        "BYTES",
        "The largest payload; keep it below what the topics take",
        "http_requests_total",
    ),
    bound(
        "call_timeout_s",
        "20",
        "SECONDS",
        "After so long without an answer of Postgres an append is sent again, a read given up",
        "daybook_append_resent_total",
    ),
    bound(
        "append_wait_s",
        "5",
        "SECONDS",
        "An append that could not be made in so long is refused, unless it may have been made",
        "daybook_append_turned_away_total",
    ),
    bound(
        "append_lock_s",
        "10",
        "SECONDS",
        "How long an append waits in Postgres for the lock of a partition",
        "daybook_append_resent_total",
    ),
    bound(
        "lane_retry_first_ms",
        "20",
        "MILLISECONDS",
        "The pause before an append is sent again; it doubles with each",
        "daybook_append_resent_total",
    ),
    bound(
        "lane_retry_most_ms",
        "1000",
        "MILLISECONDS",
        "The longest pause before an append is sent again",
        "daybook_append_resent_total",
    ),
];
