use super::*;
use serde::{Deserialize, Serialize};

/// Of `counter.added` the third version is written; of the others the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Counted {
    #[serde(rename = "counter.added")]
    Added { by: u32, unit: String, note: Option<String> },
    #[serde(rename = "counter.reset")]
    Reset {},
    #[serde(rename = "counter.halved")]
    Halved {},
}

/// Only ones were counted.
#[derive(Deserialize)]
struct AddedV1 {}

/// They were called steps, and had no unit.
#[derive(Deserialize)]
struct AddedV2 {
    steps: u32,
}

/// What a later binary will write.
#[derive(Deserialize)]
struct ResetV2 {
    #[serde(rename = "why")]
    _why: String,
}

impl From<AddedV1> for AddedV2 {
    fn from(AddedV1 {}: AddedV1) -> Self {
        AddedV2 { steps: 1 }
    }
}

impl From<AddedV2> for Counted {
    fn from(AddedV2 { steps }: AddedV2) -> Self {
        Counted::Added { by: steps, unit: "step".into(), note: None }
    }
}

impl From<ResetV2> for Counted {
    fn from(_: ResetV2) -> Self {
        Counted::Reset {}
    }
}

impl Event for Counted {
    const TYPES: &'static [(&'static str, i32)] =
        &[("counter.added", 3), ("counter.reset", 1), ("counter.halved", 2)];

    fn upcast<'de, D: Deserializer<'de>>(
        event_type: &str,
        schema_version: i32,
        payload: D,
    ) -> Option<Result<Self, D::Error>> {
        match (event_type, schema_version) {
            ("counter.added", 1) => {
                Some(AddedV1::deserialize(payload).map(|v1| AddedV2::from(v1).into()))
            }
            ("counter.added", 2) => Some(AddedV2::deserialize(payload).map(Counted::from)),
            ("counter.reset", 2) => Some(ResetV2::deserialize(payload).map(Counted::from)),
            _ => None,
        }
    }
}

fn added(by: u32, unit: &str) -> Counted {
    Counted::Added { by, unit: unit.into(), note: None }
}

#[test]
fn an_event_is_stored_as_type_and_payload_and_reads_back() {
    let event = Counted::Added { by: 3, unit: "m".into(), note: Some("a \":quote".into()) };
    let (event_type, version, payload) = encode(&event);
    assert_eq!((event_type, version), ("counter.added", 3));
    assert_eq!(payload, r#"{"by":3,"unit":"m","note":"a \":quote"}"#);
    assert_eq!(decode::<Counted>(event_type, version, &payload).unwrap(), event);
    assert_eq!(encode(&Counted::Reset {}).2, "{}");
    assert_eq!(decode::<Counted>("counter.reset", 1, "{}").unwrap(), Counted::Reset {});
}

#[test]
fn every_version_ever_written_is_read_step_by_step() {
    let read = |version, payload| decode::<Counted>("counter.added", version, payload).unwrap();
    assert_eq!(read(1, "{}"), added(1, "step"));
    assert_eq!(read(2, r#"{"steps":4}"#), added(4, "step"));
    assert_eq!(read(3, r#"{"by":4,"unit":"m"}"#), added(4, "m"));
}

/// The version says how a payload is read, never its looks.
#[test]
fn an_old_payload_under_the_version_of_today_is_malformed() {
    for (version, payload) in [(3, r#"{"steps":4}"#), (2, r#"{"by":4,"unit":"m"}"#)] {
        let misread = decode::<Counted>("counter.added", version, payload).unwrap_err();
        assert!(matches!(misread, DecodeError::Malformed { .. }), "{misread}");
    }
}

#[test]
fn a_reader_may_know_the_next_version_before_anybody_writes_it() {
    let ahead = decode::<Counted>("counter.reset", 2, r#"{"why":"noon"}"#).unwrap();
    assert_eq!(ahead, Counted::Reset {});
    assert_eq!(encode(&ahead).1, 1);
}

#[test]
fn what_is_shown_is_the_version_of_today_and_untouched_if_it_is_that_already() {
    let (version, shown) = current::<Counted>("counter.added", 1, "{}").unwrap();
    assert_eq!((version, &*shown), (3, r#"{"by":1,"unit":"step","note":null}"#));
    let stored = r#"{ "unit":"m", "by":4, "from":"elsewhere" }"#;
    let (version, shown) = current::<Counted>("counter.added", 3, stored).unwrap();
    assert_eq!(version, 3);
    assert!(matches!(shown, Cow::Borrowed(text) if text == stored));
}

#[test]
fn an_unknown_type_and_a_newer_schema_version_are_told_from_a_malformed_payload() {
    let unknown = decode::<Counted>("counter.doubled", 1, "{}").unwrap_err();
    assert!(matches!(unknown, DecodeError::Unknown { .. }));
    let newer = decode::<Counted>("counter.added", 4, r#"{"by":3}"#).unwrap_err();
    assert!(matches!(newer, DecodeError::Unknown { .. }));
    for (version, payload) in [(3, r#"{"by":-3,"unit":"m"}"#), (2, r#"{"steps":-3}"#)] {
        let malformed = decode::<Counted>("counter.added", version, payload).unwrap_err();
        assert!(matches!(malformed, DecodeError::Malformed { .. }));
    }
}

#[test]
fn a_version_that_has_lost_its_upcaster_is_not_taken_for_a_newer_one() {
    let outdated = decode::<Counted>("counter.halved", 1, "{}").unwrap_err();
    assert!(matches!(outdated, DecodeError::Outdated { schema_version: 1, .. }), "{outdated}");
}

#[test]
fn fields_of_an_event_are_those_that_this_binary_would_write() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Unit {
        unit: String,
    }
    let unit = |version, payload| fields::<Counted, Unit>("counter.added", version, payload);
    for (version, payload) in [(1, "{}"), (2, r#"{"steps":3}"#), (3, r#"{"by":3,"unit":"step"}"#)] {
        assert_eq!(unit(version, payload).unwrap(), Unit { unit: "step".into() });
    }
    assert!(matches!(unit(3, "{}"), Err(DecodeError::Malformed { .. })));
    assert!(matches!(unit(4, r#"{"unit":"step"}"#), Err(DecodeError::Unknown { .. })));
}
