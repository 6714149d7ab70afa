//! What is promised to those who read events: `docs/contracts/events/<type>.v<version>.json` holds a JSON Schema for
//! every version ever stored. `make contracts` writes those of the versions that are written now; those of earlier
//! ones stay as they are. `docs/contracts/released/events.json` keeps what was promised with the last release.

use crate::corpus::corpus;
use domain::contract::payloads;
use json_schema_diff::ChangeKind;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::{env, fs};

pub(crate) fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contracts")
}

fn file(event_type: &str, version: i32) -> PathBuf {
    contracts().join(format!("events/{event_type}.v{version}.json"))
}

pub(crate) fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn write(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
}

/// Every schema that is committed, by `<type>.v<version>`.
pub(crate) fn committed() -> Map<String, Value> {
    let files = fs::read_dir(contracts().join("events")).unwrap();
    let schemas = files.map(|file| {
        let path = file.unwrap().path();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path))
    });
    schemas.collect()
}

/// What of a change within one version its readers would have to learn. A field that may be missing is passed over
/// by those who do not know it, and that is all that an event may become without a new version.
fn breaks(before: &Value, after: &Value) -> Vec<String> {
    let changes = json_schema_diff::diff(before.clone(), after.clone()).unwrap();
    let harmless = |kind: &ChangeKind| matches!(kind, ChangeKind::PropertyAdd { .. });
    let changes = changes.into_iter().filter(|change| !harmless(&change.change));
    changes.map(|change| format!("at `{}`: {:?}", change.path, change.change)).collect()
}

#[test]
fn every_event_has_the_schema_that_is_committed() {
    for payload in payloads() {
        let path = file(payload.event_type, payload.version);
        if env::var_os("UPDATE_CONTRACTS").is_some() {
            write(&path, &payload.schema);
        }
        let (is, event) = (read(&path), payload.event_type);
        assert!(is == payload.schema, "the schema of {event} has changed: `make contracts`");
    }
}

#[test]
fn every_version_ever_stored_has_a_schema_and_is_valid_by_it() {
    let mut schemas = committed();
    for ((event_type, version), payload) in corpus() {
        let name = format!("{event_type}.v{version}");
        let schema = schemas.remove(&name).unwrap_or_else(|| panic!("{name} has no schema"));
        let payload = serde_json::from_str(&payload).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let wrong: Vec<_> = validator.iter_errors(&payload).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        jsonschema::draft202012::meta::validate(&schema).unwrap();
    }
    assert!(schemas.is_empty(), "schemas of nothing that was ever stored: {:?}", schemas.keys());
}

#[test]
fn a_released_version_of_an_event_keeps_its_schema() {
    let path = contracts().join("released/events.json");
    let now = committed();
    if env::var_os("RELEASE_CONTRACTS").is_some() {
        write(&path, &Value::Object(now.clone()));
    }
    for (name, released) in read(&path).as_object().unwrap() {
        let now = now.get(name).unwrap_or_else(|| panic!("{name} was released, and is gone"));
        let breaks = breaks(released, now);
        assert!(breaks.is_empty(), "{name} is released; raise its version: {breaks:?}");
    }
}

/// The headers of a record are those of every event.
#[test]
fn the_headers_of_released_records_keep_their_schema() {
    let headers =
        |path: PathBuf| read(&path)["components"]["messageTraits"]["recorded"]["headers"].clone();
    let released = headers(contracts().join("released/asyncapi.json"));
    let breaks = |now: &Value| breaks(&released, now);
    let now = headers(contracts().join("asyncapi.json"));
    assert!(now["properties"]["ce_id"].is_object());
    assert_eq!(breaks(&now), [""; 0]);
    let mut without = now.clone();
    without["properties"].as_object_mut().unwrap().remove("ce_id");
    assert!(!breaks(&without).is_empty());
}

#[test]
fn a_change_that_readers_would_have_to_learn_is_told_from_one_that_they_pass_over() {
    let all = payloads();
    let placed = all.iter().find(|payload| payload.event_type == "order.placed").unwrap();
    let edited = |edit: fn(&mut Value)| {
        let mut after = placed.schema.clone();
        edit(&mut after);
        breaks(&placed.schema, &after)
    };
    let added = edited(|schema| schema["properties"]["gift"] = true.into());
    assert!(added.is_empty(), "{added:?}");
    let described = edited(|schema| schema["description"] = "other words".into());
    assert!(described.is_empty(), "{described:?}");
    for broken in [
        edited(|schema| {
            let lines = schema["properties"].as_object_mut().unwrap().remove("lines").unwrap();
            schema["properties"]["items"] = lines;
        }),
        edited(|schema| schema["required"].as_array_mut().unwrap().clear()),
        edited(|schema| schema["required"].as_array_mut().unwrap().push("customer".into())),
        edited(|schema| schema["$defs"]["Money"]["properties"]["amount"]["type"] = "string".into()),
        edited(|schema| schema["$defs"]["Quantity"]["maximum"] = 10.into()),
        edited(|schema| schema["$defs"]["Sku"]["pattern"] = "^[0-9]+$".into()),
    ] {
        assert!(!broken.is_empty());
    }
}
