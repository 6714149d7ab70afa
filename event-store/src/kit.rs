//! For tests of those who read events.

use crate::{Metadata, Recorded};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An event as a log gives it, the first of its stream and of its partition; stored is its type, schema version and payload.
#[must_use]
pub fn recorded(
    service: &str,
    stream: String,
    (event_type, schema_version, payload): (&str, i32, String),
    at: DateTime<Utc>,
) -> Recorded {
    Recorded {
        service: service.into(),
        partition: 0,
        epoch: 1,
        offset: 0,
        stream,
        version: 1,
        event_id: Uuid::nil(),
        command_id: Uuid::nil(),
        ordinal: 0,
        event_type: event_type.to_owned(),
        schema_version,
        payload,
        metadata: Metadata::default(),
        occurred_at: at,
        recorded_at: at,
    }
}
