mod description;
mod wording;

use crate::FieldError;
use description::Description;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// More than these are not reported: an answer stays small, however bad the request.
const MAX_ERRORS: usize = 100;
/// Longer details are cut: some repeat what was sent.
const MAX_DETAIL_CHARS: usize = 300;

/// The fields of a JSON object, taken out one by one.
///
/// Every method that takes a field answers `None` if it cannot be accepted and notes why, with its JSON
/// Pointer, so that all bad fields are reported at once: take every field first, and only then use `?`.
/// What nobody took by the end is an unknown field.
///
/// Whoever reads can be asked what he would take: [`described`] gives him an object whose fields are all noted and none
/// is there. So the schema of a body is what its reader does, and cannot say anything else.
pub struct Fields<'a> {
    object: Map<String, Value>,
    pointer: String,
    errors: &'a mut Errors,
    description: Option<Description<'a>>,
}

impl Fields<'_> {
    /// A field that must be there; its type says what it may hold.
    pub fn required<T: DeserializeOwned + JsonSchema>(&mut self, name: &str) -> Option<T> {
        if let Some(description) = &mut self.description {
            return description.required::<T>(name);
        }
        let value = self.take_required(name)?;
        self.parse(name, value)
    }

    /// A field that may be absent or `null`.
    pub fn optional<T: DeserializeOwned + JsonSchema>(&mut self, name: &str) -> Option<Option<T>> {
        if let Some(description) = &mut self.description {
            return description.optional::<T>(name);
        }
        match self.take(name) {
            None => Some(None),
            Some(value) => self.parse(name, value).map(Some),
        }
    }

    /// An object that must be there, read by `read`.
    pub fn object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Option<T> {
        if let Some(description) = &mut self.description {
            return description.object(name, read);
        }
        let value = self.take_required(name)?;
        read_object(value, self.pointer_to(name), self.errors, read)
    }

    /// An object that may be absent or `null`, read by `read`.
    pub fn optional_object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        if let Some(description) = &mut self.description {
            return description.optional_object(name, read);
        }
        match self.take(name) {
            None => Some(None),
            Some(value) => read_object(value, self.pointer_to(name), self.errors, read).map(Some),
        }
    }

    /// An array of objects that must be there, each read by `read`.
    pub fn list<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&mut Fields<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if let Some(description) = &mut self.description {
            return description.list(name, read);
        }
        let Value::Array(items) = self.take_required(name)? else {
            self.refuse(name, "must be an array");
            return None;
        };
        let pointer = self.pointer_to(name);
        let read_items: Vec<_> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                read_object(item, format!("{pointer}/{index}"), self.errors, &mut read)
            })
            .collect();
        read_items.into_iter().collect()
    }

    /// Notes that a field cannot be accepted, for a reason that its type does not know.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = self.pointer_to(name);
        self.errors.note(pointer, detail.into());
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    fn take_required(&mut self, name: &str) -> Option<Value> {
        let value = self.take(name);
        if value.is_none() {
            self.refuse(name, "is missing");
        }
        value
    }

    fn parse<T: DeserializeOwned>(&mut self, name: &str, value: Value) -> Option<T> {
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, wording::for_people(&error));
                None
            }
        }
    }

    fn pointer_to(&self, name: &str) -> String {
        pointer_to(&self.pointer, name)
    }
}

/// The schema of the documents that a reader takes.
pub fn described<T>(
    generator: &mut SchemaGenerator,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Schema {
    description::of(generator, read)
}

/// Reads a whole document. `Err` lists everything that is wrong with it.
pub(crate) fn read_document<T>(
    document: Value,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<T, Vec<FieldError>> {
    let mut errors = Errors::default();
    note_nul_characters(&document, "", &mut errors);
    let read = read_object(document, String::new(), &mut errors, read);
    match read {
        Some(value) if errors.0.is_empty() => Ok(value),
        Some(_) | None => Err(errors.0),
    }
}

fn read_object<T>(
    value: Value,
    pointer: String,
    errors: &mut Errors,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Option<T> {
    let Value::Object(object) = value else {
        errors.note(pointer, "must be an object".to_owned());
        return None;
    };
    let mut fields = Fields { object, pointer, errors, description: None };
    let read = read(&mut fields);
    for (name, _) in std::mem::take(&mut fields.object) {
        fields.refuse(&name, "is not a field that is known here");
    }
    read
}

/// Postgres keeps no NUL character in a text, so none enters, wherever it stands.
fn note_nul_characters(value: &Value, pointer: &str, errors: &mut Errors) {
    const DETAIL: &str = "must not contain the character U+0000";
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            if text.contains('\0') {
                errors.note(pointer.to_owned(), DETAIL.to_owned());
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                note_nul_characters(item, &format!("{pointer}/{index}"), errors);
            }
        }
        Value::Object(object) => {
            for (name, value) in object {
                let pointer = pointer_to(pointer, name);
                if name.contains('\0') {
                    errors.note(pointer.clone(), DETAIL.to_owned());
                }
                note_nul_characters(value, &pointer, errors);
            }
        }
    }
}

/// RFC 6901: `~` and `/` in a name are escaped.
fn pointer_to(parent: &str, name: &str) -> String {
    let name: String = name.chars().take(MAX_DETAIL_CHARS).collect();
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    /// The first thing that is wrong with a field is enough.
    fn note(&mut self, pointer: String, detail: String) {
        let known = self.0.iter().any(|error| error.pointer.as_ref() == Some(&pointer));
        if known || self.0.len() >= MAX_ERRORS {
            return;
        }
        let detail = detail.chars().take(MAX_DETAIL_CHARS).collect();
        self.0.push(FieldError { detail, pointer: Some(pointer), parameter: None });
    }
}

#[cfg(test)]
mod tests;
