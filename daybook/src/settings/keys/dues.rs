//! The bounds of what is due, and of the calls to the payment provider.

use super::{Key, bound};

pub(super) const KEYS: &[Key] = &[
    bound(
        "requests_at_once",
        "256",
        "NUMBER",
        "Requests of the checkouts to other services that are under way at once",
        "daybook_dues_under_way",
    ),
    bound(
        "calls_at_once",
        "64",
        "NUMBER",
        "Calls to the payment provider that are under way at once",
        "daybook_dues_under_way",
    ),
    bound(
        "due_lease_s",
        "30",
        "SECONDS",
        "How long what is due belongs to whoever took it on",
        "daybook_dues_under_way",
    ),
    bound(
        "due_retry_first_ms",
        "200",
        "MILLISECONDS",
        "The pause after a request that failed; it doubles with each",
        "daybook_due_retries_total",
    ),
    bound(
        "due_retry_most_ms",
        "30000",
        "MILLISECONDS",
        "The longest pause between two tries of a request",
        "daybook_due_retries_total",
    ),
    bound(
        "due_poll_ms",
        "1000",
        "MILLISECONDS",
        "How often what comes due is looked for, besides being told",
        "daybook_behind",
    ),
    bound(
        "due_away_ms",
        "1000",
        "MILLISECONDS",
        "The pause after what is due could not be asked for",
        "daybook_due_claim_failures_total",
    ),
    bound(
        "due_look_ms",
        "1000",
        "MILLISECONDS",
        "Until it must be known how many are due, for whoever watches",
        "daybook_watch_seconds",
    ),
    bound(
        "due_states",
        "20000",
        "NUMBER",
        "Streams whose states are kept, to tell what they owe",
        "daybook_due_states",
    ),
    bound(
        "provider_connect_s",
        "5",
        "SECONDS",
        "Until the payment provider must have taken a connection",
        "daybook_provider_call_seconds",
    ),
    bound(
        "provider_answer_s",
        "20",
        "SECONDS",
        "Until the payment provider must have answered",
        "daybook_provider_call_seconds",
    ),
    bound(
        "provider_failures",
        "10",
        "NUMBER",
        "Calls in a row that may fail before the payment provider is left alone for a while",
        "daybook_breaker_open",
    )
    .live(),
    bound(
        "provider_pause_first_ms",
        "500",
        "MILLISECONDS",
        "How long it is left alone at first; it doubles",
        "daybook_breaker_open",
    )
    .live(),
    bound(
        "provider_pause_most_ms",
        "15000",
        "MILLISECONDS",
        "How long it is left alone at most",
        "daybook_breaker_open",
    )
    .live(),
];
