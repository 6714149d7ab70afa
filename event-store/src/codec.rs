//! An event's serde form is externally tagged by its type: the log keeps the tag and the content apart.

use decider::Event;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess,
    Visitor,
};
use serde_json::Error;
use std::borrow::Cow;

/// Why an event that the log holds cannot be read by this binary.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error(
        "this binary does not know `{event_type}` in schema version {schema_version}: \
         a newer binary wrote it; deploy that one here too"
    )]
    Unknown { event_type: String, schema_version: i32 },
    #[error(
        "this binary no longer reads `{event_type}` in schema version {schema_version}: \
         deploy one whose upcasters begin there"
    )]
    Outdated { event_type: String, schema_version: i32 },
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

/// The event that a payload of any schema version ever written stands for.
pub(crate) fn decode<E: Event>(
    event_type: &str,
    schema_version: i32,
    payload: &str,
) -> Result<E, DecodeError> {
    let read = match written::<E>(event_type) {
        Some(written) if written == schema_version => {
            E::deserialize(Tagged { event_type, payload })
        }
        written => {
            let mut text = serde_json::Deserializer::from_str(payload);
            let upcast = written.and_then(|_| E::upcast(event_type, schema_version, &mut text));
            let event_type = event_type.to_owned();
            upcast.ok_or(match written {
                Some(written) if schema_version < written => {
                    DecodeError::Outdated { event_type, schema_version }
                }
                Some(_) | None => DecodeError::Unknown { event_type, schema_version },
            })?
        }
    };
    read.map_err(|source| DecodeError::Malformed { event_type: event_type.to_owned(), source })
}

/// Some of the fields of the event that a payload of any schema version stands for.
pub(crate) fn fields<E: Event, T: DeserializeOwned>(
    event_type: &str,
    schema_version: i32,
    payload: &str,
) -> Result<T, DecodeError> {
    let (_, payload) = current::<E>(event_type, schema_version, payload)?;
    let malformed = |source| DecodeError::Malformed { event_type: event_type.to_owned(), source };
    serde_json::from_str(&payload).map_err(malformed)
}

/// A stored payload as this binary writes it, and the schema version of that: what people and other
/// programs are shown. One that is of this version already is returned as it is.
///
/// # Errors
/// If this binary cannot read it.
pub fn current<'a, E: Event>(
    event_type: &str,
    schema_version: i32,
    payload: &'a str,
) -> Result<(i32, Cow<'a, str>), DecodeError> {
    if written::<E>(event_type) == Some(schema_version) {
        return Ok((schema_version, payload.into()));
    }
    let (_, schema_version, payload) = encode(&decode::<E>(event_type, schema_version, payload)?);
    Ok((schema_version, payload.into()))
}

fn written<E: Event>(event_type: &str) -> Option<i32> {
    E::TYPES.iter().find(|(name, _)| *name == event_type).map(|(_, version)| *version)
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
mod tests;
