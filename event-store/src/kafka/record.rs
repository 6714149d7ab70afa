//! An event as a Kafka record: CloudEvents, binary mode. An event read from Kafka equals the one read
//! from the log, down to the bytes of its payload.
//!
//! Source: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>

use crate::{Metadata, Recorded};
use chrono::{DateTime, SecondsFormat, Utc};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// Why a record is no event of the log that its topic copies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record at {topic}/{partition}:{offset} is no event of this log: {what}")]
pub struct BadRecord {
    pub topic: String,
    pub partition: i32,
    /// Kafka's own offset.
    pub offset: i64,
    pub what: String,
}

/// A header of every record, told to those who read the topic by other means.
#[derive(Clone, Copy, Debug)]
pub struct RecordHeader {
    pub name: &'static str,
    pub holds: Holds,
    /// Left out where there is nothing to say.
    pub may_lack: bool,
    pub means: &'static str,
}

/// What the text of a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    This(&'static str),
    Text,
    Uuid,
    /// RFC 3339, with microseconds.
    Instant,
    /// Decimal digits.
    Number,
}

/// The headers of a record, in the order in which they are written.
pub const HEADERS: [RecordHeader; 18] = [
    header("ce_specversion", Holds::This("1.0"), "The version of CloudEvents."),
    header("ce_id", Holds::Uuid, "The event's id. Whoever reads it twice knows it by this."),
    header("ce_source", Holds::Text, "The service whose log it is in."),
    header("ce_type", Holds::Text, "The event's type."),
    header("ce_time", Holds::Instant, "When it occurred."),
    header("ce_subject", Holds::Text, "Its stream, as in the record's key."),
    header("ce_correlationid", Holds::Text, "What all that came of one request shares."),
    header("content-type", Holds::This("application/json"), "The payload's media type."),
    header(
        "daybook-offset",
        Holds::Number,
        "Its place in its partition of the log, without holes.",
    ),
    header("daybook-epoch", Holds::Number, "The life of the partition that the offset belongs to."),
    header("daybook-version", Holds::Number, "Its place in its stream, from 1."),
    header("daybook-schema", Holds::Number, "The schema version of the payload."),
    header("daybook-command", Holds::Uuid, "The command that it came of."),
    header("daybook-ordinal", Holds::Number, "Its place among the command's events, from 0."),
    header("daybook-actor", Holds::Text, "Who acted."),
    header("daybook-recorded", Holds::Instant, "When it was recorded."),
    RecordHeader {
        may_lack: true,
        ..header("ce_causationid", Holds::Uuid, "The event that it was a reaction to.")
    },
    RecordHeader {
        may_lack: true,
        ..header("traceparent", Holds::Text, "The trace of the request, W3C Trace Context.")
    },
];

const fn header(name: &'static str, holds: Holds, means: &'static str) -> RecordHeader {
    RecordHeader { name, holds, may_lack: false, means }
}

/// Everything of an event but its stream, which is the record's key, its payload, which is the value,
/// and its partition, which is the topic's.
#[must_use]
pub fn headers(event: &Recorded) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(HEADERS.len())
        .text("ce_specversion", "1.0")
        .text("ce_id", event.event_id.as_hyphenated().encode_lower(&mut [0; 36]))
        .text("ce_source", &event.service)
        .text("ce_type", &event.event_type)
        .text("ce_time", &instant(&event.occurred_at))
        .text("ce_subject", &event.stream)
        .text("ce_correlationid", &event.metadata.correlation)
        .text("content-type", "application/json")
        .text("daybook-offset", &event.offset.to_string())
        .text("daybook-epoch", &event.epoch.to_string())
        .text("daybook-version", &event.version.to_string())
        .text("daybook-schema", &event.schema_version.to_string())
        .text("daybook-command", event.command_id.as_hyphenated().encode_lower(&mut [0; 36]))
        .text("daybook-ordinal", &event.ordinal.to_string())
        .text("daybook-actor", &event.metadata.actor)
        .text("daybook-recorded", &instant(&event.recorded_at));
    if let Some(causation) = event.metadata.causation {
        let text = &mut [0; 36];
        headers = headers.text("ce_causationid", causation.as_hyphenated().encode_lower(text));
    }
    if let Some(traceparent) = &event.metadata.traceparent {
        headers = headers.text("traceparent", traceparent);
    }
    headers
}

trait Text {
    fn text(self, key: &str, value: &str) -> Self;
}

impl Text for OwnedHeaders {
    fn text(self, key: &str, value: &str) -> Self {
        self.insert(Header { key, value: Some(value) })
    }
}

/// RFC 3339 with microseconds, which is all that Postgres keeps.
fn instant(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Reads back what [`headers`] wrote. `service` is the log that the topic copies.
///
/// # Errors
/// If the record was not written by a relay of that log.
pub fn recorded<M: Message>(message: &M, service: &Arc<str>) -> Result<Recorded, BadRecord> {
    read(message, service).map_err(|what| BadRecord {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        what,
    })
}

/// The epoch and the offset of an event, and nothing else of it; none if no relay wrote the record.
pub(super) fn place<M: Message>(message: &M) -> Option<(i32, i64)> {
    let headers = message.headers()?;
    let of = |key| {
        let header = headers.iter().find(|header| header.key == key)?;
        std::str::from_utf8(header.value?).ok()
    };
    Some((of("daybook-epoch")?.parse().ok()?, of("daybook-offset")?.parse().ok()?))
}

fn read<M: Message>(message: &M, service: &Arc<str>) -> Result<Recorded, String> {
    let fields = Fields::of(message)?;
    let source = required(fields.source, "ce_source")?;
    if source != &**service {
        return Err(format!("its ce_source is `{source}`, not `{service}`"));
    }
    Ok(Recorded {
        service: service.clone(),
        partition: message.partition(),
        epoch: parsed(fields.epoch, "daybook-epoch")?,
        offset: parsed(fields.offset, "daybook-offset")?,
        stream: text(message.key().ok_or("it has no key")?, "key")?.to_owned(),
        version: parsed(fields.version, "daybook-version")?,
        event_id: parsed(fields.id, "ce_id")?,
        command_id: parsed(fields.command, "daybook-command")?,
        ordinal: parsed(fields.ordinal, "daybook-ordinal")?,
        event_type: required(fields.event_type, "ce_type")?.to_owned(),
        schema_version: parsed(fields.schema, "daybook-schema")?,
        payload: text(message.payload().ok_or("it has no value")?, "value")?.to_owned(),
        metadata: Metadata {
            correlation: required(fields.correlation, "ce_correlationid")?.to_owned(),
            causation: fields.causation.map(|id| parsed(Some(id), "ce_causationid")).transpose()?,
            actor: required(fields.actor, "daybook-actor")?.to_owned(),
            traceparent: fields.traceparent.map(str::to_owned),
        },
        occurred_at: parsed(fields.time, "ce_time")?,
        recorded_at: parsed(fields.recorded, "daybook-recorded")?,
    })
}

#[derive(Default)]
struct Fields<'a> {
    id: Option<&'a str>,
    source: Option<&'a str>,
    event_type: Option<&'a str>,
    time: Option<&'a str>,
    correlation: Option<&'a str>,
    causation: Option<&'a str>,
    traceparent: Option<&'a str>,
    offset: Option<&'a str>,
    epoch: Option<&'a str>,
    version: Option<&'a str>,
    schema: Option<&'a str>,
    command: Option<&'a str>,
    ordinal: Option<&'a str>,
    actor: Option<&'a str>,
    recorded: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn of<M: Message>(message: &'a M) -> Result<Self, String> {
        let mut fields = Fields::default();
        let headers = message.headers().ok_or("it has no headers")?;
        for header in headers.iter() {
            let field = match header.key {
                "ce_id" => &mut fields.id,
                "ce_source" => &mut fields.source,
                "ce_type" => &mut fields.event_type,
                "ce_time" => &mut fields.time,
                "ce_correlationid" => &mut fields.correlation,
                "ce_causationid" => &mut fields.causation,
                "traceparent" => &mut fields.traceparent,
                "daybook-offset" => &mut fields.offset,
                "daybook-epoch" => &mut fields.epoch,
                "daybook-version" => &mut fields.version,
                "daybook-schema" => &mut fields.schema,
                "daybook-command" => &mut fields.command,
                "daybook-ordinal" => &mut fields.ordinal,
                "daybook-actor" => &mut fields.actor,
                "daybook-recorded" => &mut fields.recorded,
                // What others add on the way is none of ours.
                _ => continue,
            };
            *field = header.value.map(|value| text(value, header.key)).transpose()?;
        }
        Ok(fields)
    }
}

fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|_| format!("its {what} is not UTF-8"))
}

fn required<'a>(field: Option<&'a str>, name: &str) -> Result<&'a str, String> {
    field.ok_or_else(|| format!("it has no header {name}"))
}

fn parsed<T: FromStr<Err: Display>>(field: Option<&str>, name: &str) -> Result<T, String> {
    let value = required(field, name)?;
    value.parse().map_err(|error| format!("its {name} is `{value}`: {error}"))
}

#[cfg(test)]
mod tests;
