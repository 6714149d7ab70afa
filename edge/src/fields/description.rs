//! What a reader of fields would take, noted instead of read.

use super::{Errors, Fields};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

/// The fields that one object was asked for. None of them is there, so a reader that takes all before it goes on names all.
pub(super) struct Description<'a> {
    generator: &'a mut SchemaGenerator,
    properties: Map<String, Value>,
    required: Vec<Value>,
}

pub(super) fn of<T>(
    generator: &mut SchemaGenerator,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Schema {
    let mut errors = Errors::default();
    let description = Description { generator, properties: Map::new(), required: Vec::new() };
    let mut fields = Fields {
        object: Map::new(),
        pointer: String::new(),
        errors: &mut errors,
        description: Some(description),
    };
    read(&mut fields);
    let Some(Description { properties, required, .. }) = fields.description else {
        return json_schema!(false);
    };
    let mut schema = json_schema!({ "type": "object", "additionalProperties": false });
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), properties.into());
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

impl Description<'_> {
    pub(super) fn required<T: JsonSchema>(&mut self, name: &str) -> Option<T> {
        let schema = self.generator.subschema_for::<T>();
        self.note(name, true, schema);
        None
    }

    pub(super) fn optional<T: JsonSchema>(&mut self, name: &str) -> Option<Option<T>> {
        let schema = self.generator.subschema_for::<Option<T>>();
        self.note(name, false, schema);
        None
    }

    pub(super) fn object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Option<T> {
        let schema = of(self.generator, read);
        self.note(name, true, schema);
        None
    }

    pub(super) fn optional_object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        let schema = of(self.generator, read);
        self.note(name, false, json_schema!({ "anyOf": [schema, { "type": "null" }] }));
        None
    }

    pub(super) fn list<T>(
        &mut self,
        name: &str,
        read: impl FnMut(&mut Fields<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = of(self.generator, read);
        self.note(name, true, json_schema!({ "type": "array", "items": items }));
        None
    }

    fn note(&mut self, name: &str, required: bool, schema: Schema) {
        self.properties.insert(name.to_owned(), schema.into());
        if required {
            self.required.push(name.into());
        }
    }
}
