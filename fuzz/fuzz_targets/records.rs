//! A record of a topic that anybody may have written: it is refused, or is what a relay would have written.

#![no_main]

use event_store::kafka::{headers, recorded};
use libfuzzer_sys::fuzz_target;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp};
use std::sync::Arc;

const NAMES: [&str; 16] = [
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_correlationid",
    "ce_causationid",
    "traceparent",
    "daybook-offset",
    "daybook-epoch",
    "daybook-version",
    "daybook-schema",
    "daybook-command",
    "daybook-ordinal",
    "daybook-actor",
    "daybook-recorded",
    "of-somebody-else",
];

fn message(key: Option<Vec<u8>>, payload: Option<Vec<u8>>, headers: OwnedHeaders) -> OwnedMessage {
    OwnedMessage::new(payload, key, "orders".into(), Timestamp::NotAvailable, 3, 7, Some(headers))
}

// The first line is the key, the second the value, each other one a header whose name its first byte chooses.
fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (key, payload) = (lines.next().map(<[u8]>::to_vec), lines.next().map(<[u8]>::to_vec));
    let mut told = OwnedHeaders::new();
    for line in lines {
        let Some((first, value)) = line.split_first() else { continue };
        let key = NAMES[usize::from(*first) % NAMES.len()];
        told = told.insert(Header { key, value: Some(value) });
    }
    let service = Arc::from("orders");
    let Ok(event) = recorded(&message(key, payload, told), &service) else { return };
    let (key, payload) = (event.stream.clone().into_bytes(), event.payload.clone().into_bytes());
    let again = recorded(&message(Some(key), Some(payload), headers(&event)), &service);
    let again = again.expect("what we write we read");
    // Of an instant Postgres keeps microseconds, and so do we.
    assert_eq!(again.occurred_at.timestamp_micros(), event.occurred_at.timestamp_micros());
    assert_eq!(again.recorded_at.timestamp_micros(), event.recorded_at.timestamp_micros());
    let (occurred_at, recorded_at) = (event.occurred_at, event.recorded_at);
    assert_eq!(event_store::Recorded { occurred_at, recorded_at, ..again }, event);
});
