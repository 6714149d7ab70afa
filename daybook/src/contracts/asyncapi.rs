//! The topics, AsyncAPI 3.1: <https://www.asyncapi.com/docs/reference/specification/v3.1.0>.

use crate::shop::SERVICES;
use domain::contract::{Payload, payloads};
use event_store::kafka::{HEADERS, Holds};
use serde_json::{Map, Value, json};

/// A channel for each topic, a message for each type of event.
#[must_use]
pub fn asyncapi() -> Value {
    let payloads = payloads();
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for (service, topic) in SERVICES {
        let own = payloads.iter().filter(|payload| payload.service == service);
        let types: Vec<_> = own.map(|payload| payload.event_type).collect();
        channels.insert(service.to_owned(), channel(service, topic, &types));
        operations.insert(format!("{service}.copy"), operation(service, &types));
    }
    let (mut messages, mut schemas) = (Map::new(), Map::new());
    for payload in &payloads {
        messages.insert(payload.event_type.to_owned(), message(payload));
        let mut schema = hoisted(payload.schema.clone());
        if let Some(Value::Object(shared)) = schema.remove("$defs") {
            schemas.extend(shared);
        }
        schemas.insert(payload.event_type.to_owned(), schema.into());
    }
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Daybook's events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Each topic is the copy of one service's log, partition by partition: an event read \
                here equals the event read from the log. Events of one stream are in one partition, in order. \
                One that is read twice is known by `ce_source` and `ce_id`. Payloads gain fields that may be \
                missing; for anything else `daybook-schema` goes up, and the older ones stay as they are.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "servers": {
            "own": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "The Kafka that Daybook brings along; else that of `KAFKA_BROKERS`.",
            },
        },
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas, "messageTraits": {
            "recorded": { "headers": headers(), "bindings": { "kafka": {
                "key": { "type": "string", "description": "The event's stream." },
                "bindingVersion": "0.5.0",
            } } },
        } },
    })
}

fn channel(service: &str, topic: &str, types: &[&str]) -> Value {
    let message = |event_type: &&str| {
        let reference = format!("#/components/messages/{event_type}");
        ((*event_type).to_owned(), json!({ "$ref": reference }))
    };
    let messages: Map<_, _> = types.iter().map(message).collect();
    json!({
        "address": topic,
        "title": format!("The log of {service}"),
        "description": "The topic's name stands behind `topic_prefix`, if there is one.",
        "messages": messages,
        "bindings": { "kafka": { "topic": topic, "bindingVersion": "0.5.0" } },
    })
}

/// What Daybook does: it sends.
fn operation(service: &str, types: &[&str]) -> Value {
    let message = |event_type: &&str| json!({ "$ref": format!("#/channels/{service}/messages/{event_type}") });
    json!({
        "action": "send",
        "channel": { "$ref": format!("#/channels/{service}") },
        "summary": format!("Copies the log of {service}."),
        "messages": types.iter().map(message).collect::<Vec<_>>(),
    })
}

fn message(payload: &Payload) -> Value {
    let Payload { event_type, version, .. } = payload;
    json!({
        "name": event_type,
        "title": format!("{event_type}, schema version {version}"),
        "contentType": "application/json",
        "payload": { "$ref": format!("#/components/schemas/{event_type}") },
        "traits": [{ "$ref": "#/components/messageTraits/recorded" }],
    })
}

/// CloudEvents in binary mode, as the relay writes them.
fn headers() -> Value {
    let schema = |holds: Holds| match holds {
        Holds::This(word) => json!({ "const": word }),
        Holds::Text => json!({}),
        Holds::Uuid => json!({ "format": "uuid" }),
        Holds::Instant => json!({ "format": "date-time" }),
        Holds::Number => json!({ "pattern": "^[0-9]+$" }),
    };
    let property = |header: &event_store::kafka::RecordHeader| {
        let mut schema = schema(header.holds);
        schema["type"] = json!("string");
        schema["description"] = json!(header.means);
        (header.name.to_owned(), schema)
    };
    let required = HEADERS.iter().filter(|header| !header.may_lack);
    json!({
        "type": "object",
        "properties": HEADERS.iter().map(property).collect::<Map<_, _>>(),
        "required": required.map(|header| header.name).collect::<Vec<_>>(),
    })
}

/// A schema as it stands among others: what it defines is shared, and it is no document of its own.
fn hoisted(schema: Value) -> Map<String, Value> {
    fn walk(value: Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| {
                    let shared = value.as_str().and_then(|it| it.strip_prefix("#/$defs/"));
                    let value = match (name.as_str(), shared) {
                        ("$ref", Some(shared)) => json!(format!("#/components/schemas/{shared}")),
                        _ => walk(value),
                    };
                    (name, value)
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items.into_iter().map(walk).collect(),
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
        }
    }
    let Value::Object(mut schema) = walk(schema) else { return Map::new() };
    schema.remove("$schema");
    schema.remove("$id");
    schema
}
