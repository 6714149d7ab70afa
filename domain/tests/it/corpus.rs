//! What was ever stored can be read, and is written as it was: `corpus/<type>.v<version>.json` holds
//! one payload of each version of each type. Files are added and never edited, because logs hold what
//! they show.

use decider::Event;
use domain::{catalogue, checkout, inventory, orders, payments};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
/// What only a build with the feature `next` writes.
const NEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus.next");

/// Every payload of the corpus, by its type and version.
pub(crate) fn corpus() -> BTreeMap<(String, i32), String> {
    let folders = if cfg!(feature = "next") { vec![CORPUS, NEXT] } else { vec![CORPUS] };
    let files = folders.into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let payloads = files.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (type_, version) = name.strip_suffix(".json").unwrap().rsplit_once(".v").unwrap();
        let payload = fs::read_to_string(&path).unwrap().trim_end().to_owned();
        ((type_.to_owned(), version.parse().unwrap()), payload)
    });
    payloads.collect()
}

/// An event as it was stored, in whichever version.
pub(crate) fn read<E: Event>(type_: &str, version: i32, payload: &str) -> Option<E> {
    if E::TYPES.contains(&(type_, version)) {
        return Some(serde_json::from_str(&tagged(type_, payload)).unwrap());
    }
    let mut text = serde_json::Deserializer::from_str(payload);
    E::upcast(type_, version, &mut text).map(Result::unwrap)
}

fn tagged(type_: &str, payload: &str) -> String {
    format!("{{\"{type_}\":{payload}}}")
}

/// Takes the payloads of an enum's types out of the corpus. Every version up to the one written must be
/// there and be read as an event of its type; the one written is written again, to the same letter.
fn pin<E: Event>(corpus: &mut BTreeMap<(String, i32), String>) -> Result<(), String> {
    for (type_, written) in E::TYPES {
        for version in 1..*written {
            let payload = corpus.remove(&((*type_).to_owned(), version));
            let payload = payload.ok_or(format!("no file for {type_} in version {version}"))?;
            let mut text = serde_json::Deserializer::from_str(&payload);
            let event = E::upcast(type_, version, &mut text)
                .ok_or(format!("no upcaster for {type_} from version {version}"))?
                .map_err(|e| format!("{type_} in version {version}: {e}"))?;
            let now = serde_json::to_string(&event).unwrap();
            if !now.starts_with(&format!("{{\"{type_}\":")) {
                return Err(format!("{type_} in version {version} becomes {now}"));
            }
        }
        let payload = corpus.remove(&((*type_).to_owned(), *written));
        let payload = payload.ok_or(format!("no file for {type_} in version {written}"))?;
        let stored = tagged(type_, &payload);
        let event: E = serde_json::from_str(&stored).map_err(|e| format!("{stored}: {e}"))?;
        let again = serde_json::to_string(&event).unwrap();
        if again != stored {
            return Err(format!("{stored} is written as {again}"));
        }
    }
    Ok(())
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
fn every_version_ever_written_is_read_and_the_last_is_written_as_it_was_stored() {
    let mut corpus = corpus();
    pin::<catalogue::product::Event>(&mut corpus).unwrap();
    pin::<inventory::stock::Event>(&mut corpus).unwrap();
    pin::<orders::order::Event>(&mut corpus).unwrap();
    pin::<payments::payment::Event>(&mut corpus).unwrap();
    pin::<checkout::checkout::Event>(&mut corpus).unwrap();
    assert!(corpus.is_empty(), "files of no version of any type: {:?}", corpus.keys());
}

#[test]
fn a_version_without_a_file_or_without_an_upcaster_is_found() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    enum Raised {
        #[serde(rename = "bell.rung")]
        Rung { times: u32 },
    }
    impl Event for Raised {
        const TYPES: &'static [(&'static str, i32)] = &[("bell.rung", 2)];
    }
    let file = |version| ((String::from("bell.rung"), version), String::from(r#"{"times":1}"#));
    let missing = |files: &[i32]| {
        pin::<Raised>(&mut files.iter().map(|version| file(*version)).collect()).unwrap_err()
    };
    assert_eq!(missing(&[2]), "no file for bell.rung in version 1");
    assert_eq!(missing(&[1, 2]), "no upcaster for bell.rung from version 1");
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
    let newer = r#"{"product.discontinued":{"because":"S1"}}"#;
    let event: catalogue::product::Event = serde_json::from_str(newer).unwrap();
    assert_eq!(event, catalogue::product::Event::Discontinued {});
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
