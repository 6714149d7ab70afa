use crate::{Position, codec, codec::DecodeError};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// An event as the log holds it. One read from Kafka equals the one read from the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub service: Arc<str>,
    pub partition: i32,
    pub epoch: i32,
    pub offset: i64,
    pub stream: String,
    /// Counts the events of the stream from 1.
    pub version: i64,
    pub event_id: Uuid,
    pub command_id: Uuid,
    /// Counts the events of the command from 0.
    pub ordinal: i32,
    pub event_type: String,
    pub schema_version: i32,
    /// JSON text, byte for byte as stored.
    pub payload: String,
    pub metadata: Metadata,
    /// Business time; comes with the command.
    pub occurred_at: DateTime<Utc>,
    /// When the log took it, in microseconds; never runs backwards in a partition.
    pub recorded_at: DateTime<Utc>,
}

/// What accompanies an event and is no part of the fact itself.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Metadata {
    /// Common to all that one request from outside set in motion.
    pub correlation: String,
    /// The event that made this one happen, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<Uuid>,
    /// Who acted.
    pub actor: String,
    /// W3C Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Recorded {
    /// The fact, whichever binary stored it: earlier schema versions are upcast.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if this binary does not know the type or its schema version,
    /// [`DecodeError::Malformed`] if the payload is not what the type says.
    pub fn decode<E: decider::Event>(&self) -> Result<E, DecodeError> {
        codec::decode(&self.event_type, self.schema_version, &self.payload)
    }

    /// Some of the fields of the fact, `T`, as this binary would write them: for who has no use for the whole of it.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn fields<E: decider::Event, T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        codec::fields::<E, T>(&self.event_type, self.schema_version, &self.payload)
    }

    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            service: self.service.to_string(),
            partition: self.partition,
            epoch: self.epoch,
            offset: self.offset,
        }
    }
}
