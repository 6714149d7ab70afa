//! What is read again while the process runs.

use super::{Key, bound};

pub(super) const KEYS: &[Key] = &[bound(
    "reload_look_ms",
    "1000",
    "MILLISECONDS",
    "How often it is looked whether the settings, or a file that they name, have changed",
    "daybook_reloads_total",
)
.live()];
