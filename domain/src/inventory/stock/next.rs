//! What `stock.received` would need if its second version called the quantity `pieces`. Only the test
//! that rolls from one binary to the next is built with it.

use super::Event;
use crate::values::Quantity;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
struct ReceivedV1 {
    quantity: Quantity,
}

impl From<ReceivedV1> for Event {
    fn from(ReceivedV1 { quantity }: ReceivedV1) -> Self {
        Event::Received { quantity }
    }
}

pub(super) fn upcast<'de, D: Deserializer<'de>>(
    event_type: &str,
    schema_version: i32,
    payload: D,
) -> Option<Result<Event, D::Error>> {
    match (event_type, schema_version) {
        ("stock.received", 1) => Some(ReceivedV1::deserialize(payload).map(Event::from)),
        _ => None,
    }
}
