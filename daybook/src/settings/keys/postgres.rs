//! The bounds of the connections to Postgres.

use super::{Key, bound};

pub(super) const KEYS: &[Key] = &[
    bound(
        "session_s",
        "10",
        "SECONDS",
        "Until a session with Postgres must be there",
        "daybook_session_seconds",
    ),
    bound(
        "session_connect_s",
        "5",
        "SECONDS",
        "Of that, until one address of its host must have taken the connection",
        "daybook_session_seconds",
    ),
    bound(
        "pool_wait_s",
        "5",
        "SECONDS",
        "How long a connection of a pool is waited for",
        "daybook_pool_waiting",
    ),
    bound(
        "pool_idle_s",
        "3",
        "SECONDS",
        "A connection of a pool that was idle for so long is asked whether it still answers",
        "daybook_pool_check_seconds",
    ),
    bound(
        "pool_answer_s",
        "3",
        "SECONDS",
        "Until it must have answered",
        "daybook_pool_check_seconds",
    ),
    bound(
        "watch_answer_s",
        "3",
        "SECONDS",
        "Until Postgres must have answered whoever watches whether it is there",
        "daybook_watch_seconds",
    ),
];
