//! The bounds of what is asked of services in other processes.

use super::{Key, bound};

pub(super) const KEYS: &[Key] = &[
    bound(
        "peer_connect_ms",
        "1000",
        "MILLISECONDS",
        "Until another service must have taken a connection",
        "daybook_peer_calls_total",
    ),
    bound(
        "peer_answer_ms",
        "5000",
        "MILLISECONDS",
        "Until it must have answered one try; past that it does not begin it any more",
        "daybook_peer_calls_total",
    ),
    bound(
        "peer_deadline_ms",
        "10000",
        "MILLISECONDS",
        "How long all tries of one question to it may take",
        "daybook_peer_calls_total",
    ),
    bound(
        "peer_idle_ms",
        "15000",
        "MILLISECONDS",
        "A connection to it that is not used for so long is closed; the next goes where its name leads then",
        "daybook_peer_calls_total",
    ),
    bound(
        "peer_retries",
        "3",
        "NUMBER",
        "How often a question to it is tried again, besides what waits as due",
        "daybook_peer_retries_total",
    ),
    bound(
        "peer_retry_first_ms",
        "50",
        "MILLISECONDS",
        "The pause before that; it doubles with each, and a die adds up to as much again",
        "daybook_peer_retries_total",
    ),
    bound(
        "peer_retry_most_ms",
        "1000",
        "MILLISECONDS",
        "The longest such pause",
        "daybook_peer_retries_total",
    ),
    bound(
        "peer_retry_percent",
        "20",
        "NUMBER",
        "Of a hundred questions to a service so many may be tried again",
        "daybook_peer_retries_total",
    ),
    bound(
        "peer_retry_floor",
        "10",
        "NUMBER",
        "Besides so many each second",
        "daybook_peer_retries_total",
    ),
    bound(
        "peer_failures",
        "10",
        "NUMBER",
        "Tries in a row that may fail before a service is left alone for a while",
        "daybook_breaker_open",
    )
    .live(),
    bound(
        "peer_pause_first_ms",
        "200",
        "MILLISECONDS",
        "How long it is left alone at first; it doubles",
        "daybook_breaker_open",
    )
    .live(),
    bound(
        "peer_pause_most_ms",
        "5000",
        "MILLISECONDS",
        "How long it is left alone at most",
        "daybook_breaker_open",
    )
    .live(),
];
