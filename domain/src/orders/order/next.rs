//! What `order.cancelled` would need if its second version called the reason `because`. Only the test
//! that rolls from one binary to the next is built with it.

use super::{CancelReason, Event};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
struct CancelledV1 {
    reason: CancelReason,
}

impl From<CancelledV1> for Event {
    fn from(CancelledV1 { reason }: CancelledV1) -> Self {
        Event::Cancelled { reason }
    }
}

pub(super) fn upcast<'de, D: Deserializer<'de>>(
    event_type: &str,
    schema_version: i32,
    payload: D,
) -> Option<Result<Event, D::Error>> {
    match (event_type, schema_version) {
        ("order.cancelled", 1) => Some(CancelledV1::deserialize(payload).map(Event::from)),
        _ => None,
    }
}
