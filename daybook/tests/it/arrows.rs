//! The arrows between our crates, read from their manifests: `decider ← {domain, event-store} ←
//! {command-api, sagas, projections} ← daybook`, and `edge` beside them. Any other arrow fails
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use toml::{Table, Value};

/// Every crate of ours, and the crates of ours that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("decider", &[]),
    ("domain", &["decider"]),
    ("event-store", &["decider"]),
    ("edge", &[]),
    ("command-api", &["decider", "domain", "edge", "event-store"]),
    ("sagas", &["decider", "domain", "edge", "event-store"]),
    ("projections", &["decider", "domain", "edge", "event-store"]),
    (
        "daybook",
        &["decider", "domain", "edge", "event-store", "command-api", "sagas", "projections"],
    ),
];

/// What the pure crates may take from others: words on disk and what describes them, never a clock, a socket or a die.
const PURE: &[(&str, &[&str])] = &[
    ("decider", &["serde"]),
    ("domain", &["decider", "schemars", "serde", "serde_json", "chrono", "uuid", "thiserror"]),
];

#[test]
fn no_arrow_between_our_crates_points_right() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for member in members() {
        let arrows = allowed.get(member.as_str());
        let arrows = arrows.unwrap_or_else(|| panic!("{member} is new: give it its arrows here"));
        let forbidden: Vec<_> = dependencies(&member, &["dependencies", "dev-dependencies"])
            .into_iter()
            .filter(|name| allowed.contains_key(name.as_str()))
            .filter(|name| !arrows.contains(&name.as_str()))
            .collect();
        assert!(forbidden.is_empty(), "{member} must not depend on {forbidden:?}");
    }
}

#[test]
fn the_pure_crates_take_nothing_that_acts() {
    for (member, allowed) in PURE {
        let forbidden: Vec<_> = dependencies(member, &["dependencies"])
            .into_iter()
            .filter(|name| !allowed.contains(&name.as_str()))
            .collect();
        assert!(forbidden.is_empty(), "{member} is pure and must not depend on {forbidden:?}");
    }
}

#[test]
fn only_the_event_store_knows_kafka() {
    for member in members() {
        let kafka =
            dependencies(&member, &["dependencies", "dev-dependencies"]).contains("rdkafka");
        assert!(!kafka || member == "event-store", "{member} must not depend on rdkafka");
    }
}

#[test]
fn bounded_contexts_do_not_import_each_other() {
    let contexts = ["catalogue", "inventory", "orders", "payments", "checkout"];
    for context in contexts {
        for (file, text) in sources(&root().join("domain/src").join(context)) {
            for other in contexts.iter().filter(|other| **other != context) {
                let import = format!("crate::{other}");
                assert!(!text.contains(&import), "{} imports {import}", file.display());
            }
        }
    }
}

/// What is routed past the table is asked of nobody's permission, and no test walks it.
#[test]
fn nothing_is_routed_but_what_stands_in_the_one_table() {
    let members = ["edge", "command-api", "projections", "daybook"];
    let sources = members.iter().flat_map(|member| sources(&root().join(member).join("src")));
    let sources = sources.filter(|(path, _)| !path.ends_with("tests.rs"));
    let (table, others): (Vec<_>, Vec<_>) =
        sources.partition(|(path, _)| path.ends_with("daybook/src/table.rs"));
    let [(_, table)] = &*table else { panic!("there is one table") };
    let mut parts = 0;
    for (path, text) in &others {
        let of_the_table = |name: &str| table.contains(&format!("::{name}("));
        for made in text.lines().filter(|line| line.contains("-> Routes<")) {
            let name = made.split("fn ").nth(1).and_then(|it| it.split('(').next()).unwrap();
            assert!(of_the_table(name), "{}: {made}", path.display());
            parts += 1;
        }
        for past in
            [".route(", "::routes(", "::many(", ".nest(", "route_service(", "fallback_service("]
        {
            let is_routes = path.ends_with("edge/src/routes.rs");
            assert!(is_routes || !text.contains(past), "{} routes by {past}", path.display());
        }
    }
    assert_eq!(parts, table.matches(": Routes<").count(), "a part is not in the table");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace above us").to_owned()
}

fn manifest(folder: &str) -> Table {
    let path = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub(crate) fn members() -> Vec<String> {
    let manifest = manifest(".");
    let members = manifest["workspace"]["members"].as_array().expect("a list of members");
    members.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The names under the given tables of a manifest, those of its `target.…` tables included.
fn dependencies(member: &str, tables: &[&str]) -> BTreeSet<String> {
    let manifest = manifest(member);
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let targets = targets.filter_map(|(_, target)| target.as_table());
    std::iter::once(&manifest)
        .chain(targets)
        .flat_map(|table| tables.iter().filter_map(|name| table.get(*name)?.as_table()))
        .flat_map(|dependencies| dependencies.keys().cloned())
        .collect()
}

/// The Rust files under a folder, and the one beside it.
pub(crate) fn sources(folder: &std::path::Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned(), folder.with_extension("rs")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a readable folder").map(|e| e.unwrap().path()));
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
    found
}
