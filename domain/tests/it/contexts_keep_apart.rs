//! A bounded context imports shared ids and values and itself, never another context.

use std::fs;
use std::path::{Path, PathBuf};

const CONTEXTS: [&str; 5] = ["catalogue", "inventory", "orders", "payments", "checkout"];

fn sources(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The other contexts that a text names in a path: `crate::orders`, or `orders::` in an import.
fn named<'a>(text: &'a str, own: &'a str) -> impl Iterator<Item = &'static str> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    CONTEXTS.into_iter().filter(move |other| *other != own).filter(move |other| names(&code, other))
}

fn names(code: &str, context: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(context).any(|(at, _)| {
        let before = code[..at].trim_end_matches([' ', '\n']);
        let after = &code[at + context.len()..];
        let whole = !code[..at].ends_with(is_part) && !after.starts_with(is_part);
        let in_a_path = before.ends_with("::") || after.trim_start().starts_with("::");
        whole && in_a_path
    })
}

#[test]
fn no_context_imports_another() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for own in CONTEXTS {
        let mut files = sources(&root.join(own));
        files.push(root.join(format!("{own}.rs")));
        assert!(files.len() > 1, "{own} has moved");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let others: Vec<_> = named(&text, own).collect();
            assert!(others.is_empty(), "{} imports {others:?}", file.display());
        }
    }
}

#[test]
fn every_context_is_watched() {
    let lib = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
    let contexts: Vec<_> = modules
        .map(|name| name.trim_end_matches(';'))
        .filter(|name| !["ids", "values", "contract"].contains(name))
        .collect();
    assert_eq!(contexts, CONTEXTS);
}

#[test]
fn an_import_of_another_context_would_be_seen() {
    for import in [
        "use crate::orders::order;",
        "use crate::{ids::OrderId, orders::order::Order};",
        "let x = crate::orders::order::stream(id);",
        "use super::super::super::orders;",
    ] {
        assert_eq!(named(import, "checkout").collect::<Vec<_>>(), ["orders"], "{import}");
    }
    for innocent in ["// crate::orders is elsewhere", "let orders = 1;", "use crate::ids::OrderId;"]
    {
        assert_eq!(named(innocent, "checkout").count(), 0, "{innocent}");
    }
}
