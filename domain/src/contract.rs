//! What is stored, told to those who read it without this code: a JSON Schema (2020-12) of each event's payload. It
//! describes what is written, and leaves room for fields that come later.

#[cfg(feature = "kit")]
pub mod kit;

use crate::{catalogue, checkout, inventory, orders, payments};
use decider::Event;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The payload of one type of event, in the version that this binary writes.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Whose log it is in.
    pub service: &'static str,
    pub event_type: &'static str,
    pub version: i32,
    pub schema: Value,
}

/// Of every event that is written.
#[must_use]
pub fn payloads() -> Vec<Payload> {
    [
        of::<catalogue::product::Event>("catalogue"),
        of::<orders::order::Event>("orders"),
        of::<inventory::stock::Event>("inventory"),
        of::<payments::payment::Event>("payments"),
        of::<checkout::checkout::Event>("checkout"),
    ]
    .concat()
}

/// An event is an enum that is tagged by its type: what stands under the tag is the payload.
fn of<E: Event + JsonSchema>(service: &'static str) -> Vec<Payload> {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let all = generator.into_root_schema_for::<E>().to_value();
    let payload = |(event_type, version): &(&'static str, i32)| {
        let variants = all["oneOf"].as_array().expect("an event is an enum");
        let tagged = |variant: &&Value| variant["properties"].get(event_type).is_some();
        let variant = variants.iter().find(tagged).expect("every type is a variant");
        let mut schema = variant["properties"][event_type].clone();
        let defs = used(&schema, &all["$defs"]);
        schema["$schema"] = all["$schema"].clone();
        schema["$id"] = json!(format!("urn:daybook:event:{event_type}:{version}"));
        schema["title"] = json!(event_type);
        if let Some(description) = variant.get("description") {
            schema["description"] = description.clone();
        }
        if !defs.is_empty() {
            schema["$defs"] = json!(defs);
        }
        Payload { service, event_type, version: *version, schema }
    };
    E::TYPES.iter().map(payload).collect()
}

/// The definitions that a schema refers to, itself or through others.
fn used(schema: &Value, defs: &Value) -> BTreeMap<String, Value> {
    let (mut used, mut open) = (BTreeMap::new(), references(schema));
    while let Some(name) = open.pop() {
        let def = &defs[&name];
        if used.insert(name, def.clone()).is_none() {
            open.extend(references(def));
        }
    }
    used
}

fn references(schema: &Value) -> Vec<String> {
    let inner = |values: &mut dyn Iterator<Item = &Value>| values.flat_map(references).collect();
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|reference| reference.strip_prefix("#/$defs/"));
            let inner: Vec<_> = inner(&mut Map::values(fields));
            own.map(str::to_owned).into_iter().chain(inner).collect()
        }
        Value::Array(items) => inner(&mut items.iter()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
