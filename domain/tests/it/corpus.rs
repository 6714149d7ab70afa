//! What was ever stored can be read, and is written as it was: `corpus/<type>.v<version>.json` holds
//! one payload of each. Files are added and never edited, because logs hold what they show.

use decider::Event;
use domain::{catalogue, checkout, inventory, orders, payments};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");

fn stored<E: Event>(type_: &str, version: i32) -> (E, String) {
    let path = format!("{CORPUS}/{type_}.v{version}.json");
    let payload = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let payload = payload.trim_end().to_owned();
    let event = serde_json::from_str(&format!("{{\"{type_}\":{payload}}}"))
        .unwrap_or_else(|e| panic!("{path}: {e}"));
    (event, payload)
}

/// Reads every type and writes it again, to the same letter. Gives the names of the files.
fn pin<E: Event>() -> Vec<String> {
    let pinned = E::TYPES.iter().map(|(type_, version)| {
        let (event, payload) = stored::<E>(type_, *version);
        let written = serde_json::to_string(&event).unwrap();
        assert_eq!(written, format!("{{\"{type_}\":{payload}}}"), "as it was stored");
        format!("{type_}.v{version}.json")
    });
    pinned.collect()
}

/// The names of an enum's variants, as serde tells them when it meets another.
fn variants<E: Event>() -> BTreeSet<String> {
    let complaint = serde_json::from_str::<E>(r#"{"?":{}}"#).unwrap_err().to_string();
    let quoted = complaint.split('`').skip(1).step_by(2);
    quoted.filter(|name| *name != "?").map(str::to_owned).collect()
}

fn every_variant_is_a_type<E: Event>() {
    let types: BTreeSet<String> = E::TYPES.iter().map(|(type_, _)| (*type_).to_owned()).collect();
    assert_eq!(types.len(), E::TYPES.len(), "a type is listed twice");
    assert_eq!(types, variants::<E>());
}

#[test]
fn every_type_is_written_as_it_was_stored() {
    let mut pinned = pin::<catalogue::product::Event>();
    pinned.extend(pin::<inventory::stock::Event>());
    pinned.extend(pin::<orders::order::Event>());
    pinned.extend(pin::<payments::payment::Event>());
    pinned.extend(pin::<checkout::checkout::Event>());

    let files = fs::read_dir(CORPUS).unwrap().map(|file| file.unwrap().file_name());
    let files: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(files, pinned.into_iter().collect(), "a file of the corpus belongs to no type");
}

#[test]
fn every_event_has_a_type() {
    every_variant_is_a_type::<catalogue::product::Event>();
    every_variant_is_a_type::<inventory::stock::Event>();
    every_variant_is_a_type::<orders::order::Event>();
    every_variant_is_a_type::<payments::payment::Event>();
    every_variant_is_a_type::<checkout::checkout::Event>();
}

#[test]
fn an_event_with_a_field_from_the_future_can_be_read() {
    let newer = r#"{"stock.received":{"quantity":3,"supplier":"S1"}}"#;
    let event: inventory::stock::Event = serde_json::from_str(newer).unwrap();
    let quantity = 3.try_into().unwrap();
    assert_eq!(event, inventory::stock::Event::Received { quantity });
}

#[test]
fn a_command_with_an_unknown_field_is_refused() {
    let refused = |complaint: String| assert!(complaint.contains("unknown field"), "{complaint}");
    refused(unreadable::<inventory::stock::Command>(r#"{"receive":{"quantity":3,"from":"S1"}}"#));
    refused(unreadable::<catalogue::product::Command>(r#"{"discontinue":{"now":true}}"#));
    refused(unreadable::<orders::order::Line>(
        r#"{"sku":"A","quantity":1,"unit_price":{"amount":1,"currency":"GBP","vat":1}}"#,
    ));
}

fn unreadable<C: DeserializeOwned + Debug>(json: &str) -> String {
    serde_json::from_str::<C>(json).unwrap_err().to_string()
}

#[test]
fn a_command_is_tagged_by_its_kebab_case_name() {
    let json = r#"{"stock-refused":{"sku":"85123A","reason":"out-of-stock"}}"#;
    let command: checkout::checkout::Command = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&command).unwrap(), json);
    let json = r#"{"discontinue":{}}"#;
    let command: catalogue::product::Command = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&command).unwrap(), json);
}
