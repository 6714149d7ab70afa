use super::{HEADERS, Holds, headers, recorded};
use crate::{Metadata, Recorded};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use rdkafka::Timestamp;
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use std::sync::Arc;
use uuid::Uuid;

/// What the broker stores and a consumer is given.
fn sent(event: &Recorded, headers: OwnedHeaders) -> OwnedMessage {
    OwnedMessage::new(
        Some(event.payload.clone().into_bytes()),
        Some(event.stream.clone().into_bytes()),
        "shop-events".into(),
        Timestamp::NotAvailable,
        event.partition,
        77,
        Some(headers),
    )
}

/// Every instant that both Postgres and chrono can hold, in microseconds.
fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    let earliest = DateTime::<Utc>::MIN_UTC.timestamp_micros().max(-210_866_803_200_000_000);
    let latest = DateTime::<Utc>::MAX_UTC.timestamp_micros();
    prop_oneof![
        Just(earliest),
        Just(latest),
        Just(0),
        Just(-1),
        0..2_000_000_000_000_000_i64,
        earliest..latest
    ]
    .prop_map(|micros| DateTime::from_timestamp_micros(micros).expect("in the range of chrono"))
}

/// Any text that Postgres can hold, so without NUL.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[^\u{0}]{0,40}", "[a-z0-9-]{1,20}"]
}

fn uuids() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

prop_compose! {
    fn metadata()(
        correlation in texts(),
        causation in proptest::option::of(uuids()),
        actor in texts(),
        traceparent in proptest::option::of(texts()),
    ) -> Metadata {
        Metadata { correlation, causation, actor, traceparent }
    }
}

prop_compose! {
    fn events()(
        (partition, epoch, offset) in (0..i32::MAX, 1..i32::MAX, 0..i64::MAX),
        (stream, version) in (texts(), 1..i64::MAX),
        (event_id, command_id, ordinal) in (uuids(), uuids(), 0..i32::MAX),
        (event_type, schema_version) in (texts(), 1..i32::MAX),
        payload in texts(),
        metadata in metadata(),
        (occurred_at, recorded_at) in (instants(), instants()),
    ) -> Recorded {
        Recorded {
            service: Arc::from("shop"),
            partition, epoch, offset, stream, version, event_id, command_id, ordinal,
            event_type, schema_version, payload, metadata, occurred_at, recorded_at,
        }
    }
}

proptest! {
    #[test]
    fn an_event_read_from_kafka_equals_the_event_read_from_the_log(event in events()) {
        let message = sent(&event, headers(&event));
        prop_assert_eq!(recorded(&message, &event.service).unwrap(), event);
    }
}

#[test]
fn the_headers_that_are_written_are_those_that_are_told() {
    let written = headers(&an_event());
    let names: Vec<_> = written.iter().map(|header| header.key).collect();
    assert_eq!(names, HEADERS.map(|header| header.name));
    for (header, told) in written.iter().zip(HEADERS) {
        let text = std::str::from_utf8(header.value.unwrap()).unwrap();
        let fits = match told.holds {
            Holds::This(word) => text == word,
            Holds::Text => !text.is_empty(),
            Holds::Uuid => text.parse::<Uuid>().is_ok(),
            Holds::Instant => text.parse::<DateTime<Utc>>().is_ok() && text.ends_with('Z'),
            Holds::Number => text.bytes().all(|byte| byte.is_ascii_digit()),
        };
        assert!(fits, "{}: {text}", told.name);
    }
    let event = an_event();
    let metadata = Metadata { causation: None, traceparent: None, ..event.metadata.clone() };
    let written = headers(&Recorded { metadata, ..event });
    assert_eq!(written.count(), HEADERS.iter().filter(|header| !header.may_lack).count());
}

fn an_event() -> Recorded {
    Recorded {
        service: Arc::from("orders"),
        partition: 5,
        epoch: 1,
        offset: 1234,
        stream: "order-5f0c1b7e".into(),
        version: 2,
        event_id: Uuid::from_u128(1),
        command_id: Uuid::from_u128(2),
        ordinal: 0,
        event_type: "order.confirmed".into(),
        schema_version: 1,
        payload: "{}".into(),
        metadata: Metadata {
            correlation: "c".into(),
            causation: Some(Uuid::from_u128(3)),
            actor: "checkout".into(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        },
        occurred_at: DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap(),
        recorded_at: DateTime::from_timestamp_micros(1_700_000_000_000_000).unwrap(),
    }
}

#[test]
fn the_headers_are_those_of_cloudevents_in_binary_mode() {
    let headers = headers(&an_event());
    let text = |h: Header<'_, &[u8]>| {
        (h.key.to_owned(), String::from_utf8(h.value.unwrap().to_vec()).unwrap())
    };
    let mut found: Vec<_> = headers.iter().map(text).collect();
    found.sort();
    let wanted = [
        ("ce_causationid", "00000000-0000-0000-0000-000000000003"),
        ("ce_correlationid", "c"),
        ("ce_id", "00000000-0000-0000-0000-000000000001"),
        ("ce_source", "orders"),
        ("ce_specversion", "1.0"),
        ("ce_subject", "order-5f0c1b7e"),
        ("ce_time", "2023-11-14T22:13:20.000001Z"),
        ("ce_type", "order.confirmed"),
        ("content-type", "application/json"),
        ("daybook-actor", "checkout"),
        ("daybook-command", "00000000-0000-0000-0000-000000000002"),
        ("daybook-epoch", "1"),
        ("daybook-offset", "1234"),
        ("daybook-ordinal", "0"),
        ("daybook-recorded", "2023-11-14T22:13:20.000000Z"),
        ("daybook-schema", "1"),
        ("daybook-version", "2"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    assert_eq!(found, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn headers_that_others_add_are_passed_over() {
    let event = an_event();
    let added = headers(&event).insert(Header { key: "mirrored-by", value: Some(&[0xff_u8][..]) });
    assert_eq!(recorded(&sent(&event, added), &event.service).unwrap(), event);
}

#[test]
fn a_record_that_no_relay_of_this_log_wrote_is_refused_and_named() {
    let event = an_event();
    let bare = sent(&event, OwnedHeaders::new());
    let refused = recorded(&bare, &event.service).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the record at shop-events/5:77 is no event of this log: it has no header ce_source"
    );
    let others = recorded(&sent(&event, headers(&event)), &Arc::from("payments")).unwrap_err();
    assert_eq!(others.what, "its ce_source is `orders`, not `payments`");
}
