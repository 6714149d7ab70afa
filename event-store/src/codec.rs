//! An event's serde form is externally tagged by its type: the log keeps the tag and the content apart.

use decider::Event;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde_json::Error;

/// Why an event that the log holds cannot be read by this binary.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error(
        "this binary does not know `{event_type}` in schema version {schema_version}: \
         a newer binary wrote it; deploy that one here too"
    )]
    Unknown { event_type: String, schema_version: i32 },
    #[error("the payload of `{event_type}` is malformed")]
    Malformed { event_type: String, source: Error },
}

/// The stored form of an event: its type, the schema version written, and its payload as JSON text.
///
/// # Panics
/// If the event's serde form is not externally tagged by a type of [`Event::TYPES`]; a test of the
/// domain pins that form.
#[must_use]
pub fn encode<E: Event>(event: &E) -> (&'static str, i32, String) {
    let mut text =
        serde_json::to_string(event).expect("an event has no map with other keys than text");
    let tag_end = text.find("\":").expect("an event is tagged by its type");
    let tag = text.get(2..tag_end).unwrap_or_default();
    let (event_type, schema_version) = *E::TYPES
        .iter()
        .find(|(name, _)| *name == tag)
        .unwrap_or_else(|| panic!("`{tag}` is not among the types of its event"));
    text.pop();
    text.drain(..tag_end + 2);
    (event_type, schema_version, text)
}

pub(crate) fn decode<E: Event>(
    event_type: &str,
    schema_version: i32,
    payload: &str,
) -> Result<E, DecodeError> {
    let known = E::TYPES.iter().any(|(name, v)| *name == event_type && schema_version <= *v);
    if !known {
        let event_type = event_type.to_owned();
        return Err(DecodeError::Unknown { event_type, schema_version });
    }
    E::deserialize(Tagged { event_type, payload })
        .map_err(|source| DecodeError::Malformed { event_type: event_type.to_owned(), source })
}

/// An externally tagged enum whose tag and content come from two places.
struct Tagged<'a> {
    event_type: &'a str,
    payload: &'a str,
}

impl<'de> Deserializer<'de> for Tagged<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = Error;
    type Variant = Content<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), Error> {
        let tag: StrDeserializer<'de, Error> = self.event_type.into_deserializer();
        Ok((seed.deserialize(tag)?, Content(self.payload)))
    }
}

struct Content<'a>(&'a str);

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(&mut serde_json::Deserializer::from_str(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        serde_json::Deserializer::from_str(self.0).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        serde_json::Deserializer::from_str(self.0).deserialize_map(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Counted {
        #[serde(rename = "counter.added")]
        Added { by: u32, note: Option<String> },
        #[serde(rename = "counter.reset")]
        Reset {},
    }
    impl Event for Counted {
        const TYPES: &'static [(&'static str, i32)] = &[("counter.added", 1), ("counter.reset", 1)];
    }

    #[test]
    fn an_event_is_stored_as_type_and_payload_and_reads_back() {
        let event = Counted::Added { by: 3, note: Some("a \":quote".into()) };
        let (event_type, version, payload) = encode(&event);
        assert_eq!((event_type, version), ("counter.added", 1));
        assert_eq!(payload, r#"{"by":3,"note":"a \":quote"}"#);
        assert_eq!(decode::<Counted>(event_type, version, &payload).unwrap(), event);
        assert_eq!(encode(&Counted::Reset {}).2, "{}");
        assert_eq!(decode::<Counted>("counter.reset", 1, "{}").unwrap(), Counted::Reset {});
    }

    #[test]
    fn an_unknown_type_and_a_newer_schema_version_are_told_from_a_malformed_payload() {
        let unknown = decode::<Counted>("counter.halved", 1, "{}").unwrap_err();
        assert!(matches!(unknown, DecodeError::Unknown { .. }));
        let newer = decode::<Counted>("counter.added", 2, r#"{"by":3}"#).unwrap_err();
        assert!(matches!(newer, DecodeError::Unknown { .. }));
        let malformed = decode::<Counted>("counter.added", 1, r#"{"by":-3}"#).unwrap_err();
        assert!(matches!(malformed, DecodeError::Malformed { .. }));
    }
}
