//! The only place that makes ids out of nothing. Every other id is derived from one of these.

use uuid::Uuid;

/// A new id; ids that were minted later sort later.
#[expect(clippy::disallowed_methods, reason = "this is the one mint of ids")]
pub fn mint() -> Uuid {
    Uuid::now_v7()
}
