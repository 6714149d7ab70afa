//! What a consumer records of what he reads of another service's events, and where. It is found out, not claimed: each
//! field of an event of the corpus is changed, and seen whether that makes a difference to the reader.

use super::payloads;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What is read of the events of a service: `{"stock.reserved": {"schema": 1, "fields": ["order"]}}`. The reader is given
/// type, schema version and payload, and says what he makes of them: nothing if he passes the event over.
///
/// A field whose value makes a difference is `price.amount` or `lines[].sku`, and `customer?` if it may be missing.
///
/// # Panics
/// If the reader does not understand what this binary writes.
pub fn reads<E: std::fmt::Display>(
    service: &str,
    read: impl Fn(&str, i32, &str) -> Result<Option<String>, E>,
) -> Value {
    let mut types = Map::new();
    for event in payloads().into_iter().filter(|event| event.service == service) {
        let (event_type, version) = (event.event_type, event.version);
        let payload = sample(event_type, version);
        let made_of = |payload: &Value| read(event_type, version, &payload.to_string());
        let made = made_of(&payload).unwrap_or_else(|error| panic!("{event_type}: {error}"));
        if let Some(made) = made {
            let made_of = |payload: &Value| made_of(payload).ok();
            let fields = fields(&payload, &Some(made), made_of);
            types.insert(event_type.to_owned(), json!({ "schema": version, "fields": fields }));
        }
    }
    types.into()
}

/// A payload as it is stored, of the corpus.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn sample(event_type: &str, version: i32) -> Value {
    read(&at_root(&format!("domain/corpus/{event_type}.v{version}.json")))
}

/// Compares with what is recorded in `docs/contracts/consumers`, or writes it with `make contracts`.
///
/// # Panics
/// If it is another.
pub fn is_recorded(name: &str, made: &Value) {
    let path = at_root(&format!("docs/contracts/consumers/{name}.json"));
    if env::var_os("UPDATE_CONTRACTS").is_some() {
        let text = serde_json::to_string_pretty(made).expect("JSON is written");
        fs::write(&path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    assert!(read(&path) == *made, "{name} has changed: `make contracts`, and ask its owner");
}

fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The paths of what makes a difference, each once.
fn fields<T: PartialEq>(
    payload: &Value,
    made: &T,
    made_of: impl Fn(&Value) -> Option<T>,
) -> Vec<String> {
    let mut leaves = Vec::new();
    leaves_of(payload, String::new(), &mut leaves);
    let mut fields: Vec<String> = Vec::new();
    for leaf in leaves {
        let others = others(payload.pointer(&leaf).expect("it was found there"));
        let others: Vec<T> =
            others.iter().filter_map(|it| made_of(&with(payload, &leaf, it))).collect();
        assert!(!others.is_empty(), "no other value of {leaf} is acceptable: think of one");
        if others.iter().any(|other| other != made) {
            let may_be_missing = made_of(&without(payload, &leaf)).is_some();
            let field = path(&leaf) + if may_be_missing { "?" } else { "" };
            fields.extend((!fields.contains(&field)).then_some(field));
        }
    }
    fields
}

/// JSON Pointers to all that has no parts.
fn leaves_of(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| leaves_of(inner, format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(place, inner)| leaves_of(inner, format!("{at}/{place}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(at),
    }
}

/// `/lines/0/sku` is `lines[].sku`.
fn path(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1);
    parts.fold(String::new(), |path, part| match part.parse::<usize>() {
        Ok(_) => path + "[]",
        Err(_) if path.is_empty() => part.to_owned(),
        Err(_) => path + "." + part,
    })
}

/// Values that a field may have instead, whatever it is; those that it may not have are no matter.
fn others(value: &Value) -> Vec<Value> {
    const WORDS: [&str; 6] = [
        "B",
        "EUR",
        "FR",
        "customer-request",
        "out-of-stock",
        "00000000-0000-0000-0000-000000000001",
    ];
    if let Some(number) = value.as_i64() {
        return vec![(number + 1).into(), (number - 1).into()];
    }
    let words = WORDS.map(Value::from).into_iter().chain([true.into(), false.into()]);
    words.filter(|word| word != value).collect()
}

fn with(payload: &Value, pointer: &str, value: &Value) -> Value {
    let mut payload = payload.clone();
    *payload.pointer_mut(pointer).expect("it was found there") = value.clone();
    payload
}

fn without(payload: &Value, pointer: &str) -> Value {
    let mut payload = payload.clone();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    if let Some(Value::Object(fields)) = payload.pointer_mut(parent) {
        fields.remove(name);
    }
    payload
}
