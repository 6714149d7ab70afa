//! The bounds of callers: their connections, what is inside, what it waits for.

use super::{Key, bound};

pub(super) const KEYS: &[Key] = &[
    bound(
        "connections",
        "10000",
        "NUMBER",
        "Connections of callers that are open at once; whoever comes then waits to be accepted",
        "http_connections",
    ),
    bound(
        "idle_connection_s",
        "75",
        "SECONDS",
        "A connection of a caller without a whole request for so long is closed",
        "http_connections_idle_total",
    ),
    bound(
        "accept_retry_ms",
        "200",
        "MILLISECONDS",
        "The pause after a connection of a caller could not be accepted",
        "http_accept_failures_total",
    ),
    bound(
        "leftover_bytes",
        "67108864",
        "BYTES",
        "What is still read of the body of a request that was refused",
        "http_leftover_seconds",
    ),
    bound(
        "leftover_ms",
        "2000",
        "MILLISECONDS",
        "How long it may take to come",
        "http_leftover_seconds",
    ),
    bound(
        "commands",
        "10000",
        "NUMBER",
        "Commands that are inside at once; more get 503 at once",
        "daybook_requests_inside",
    ),
    bound(
        "queries",
        "1000",
        "NUMBER",
        "Queries that are inside at once; more get 503 at once",
        "daybook_requests_inside",
    ),
    bound(
        "crowd",
        "32",
        "NUMBER",
        "So many commands that wait are a crowd; if it stands, others get 503 at once",
        "daybook_requests_refused_total",
    ),
    bound(
        "crowd_burst_ms",
        "250",
        "MILLISECONDS",
        "A crowd that is gone sooner is a burst, and taken as a whole",
        "daybook_requests_refused_total",
    ),
    bound(
        "crowd_delay_ms",
        "20",
        "MILLISECONDS",
        "How long the first of a crowd that stands may have waited when another is let in",
        "daybook_requests_refused_total",
    ),
    bound(
        "min_position_wait_ms",
        "2000",
        "MILLISECONDS",
        "How long a request waits for the position that it asks for",
        "http_request_duration_seconds",
    ),
    bound(
        "price_look_s",
        "5",
        "SECONDS",
        "Until Postgres must have answered one look at the price list",
        "daybook_price_look_seconds",
    ),
    bound(
        "price_batch",
        "256",
        "NUMBER",
        "Questions for prices that one look answers, and that wait for the next one",
        "daybook_price_look_questions",
    ),
];
