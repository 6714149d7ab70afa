//! The documents that are made of the code are the committed ones, and their own tools read them.

use crate::support::World;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io::Write};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares with what is committed, or writes it with `make contracts`.
fn is_committed(name: &str, made: &Value) {
    let path = root().join("docs/contracts").join(name);
    if env::var_os("UPDATE_CONTRACTS").is_some() {
        fs::write(&path, serde_json::to_string_pretty(made).unwrap() + "\n").unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    let committed: Value = serde_json::from_str(&committed).unwrap();
    assert!(committed == *made, "{name} has changed: `make contracts`, and look at the difference");
}

#[test]
fn the_topics_are_described_as_they_are_committed_and_the_official_parser_reads_it() {
    let made = daybook::contracts::asyncapi();
    is_committed("asyncapi.json", &made);
    let tools = root().join(".tools/contracts");
    let mut parser = Command::new(tools.join("venv/bin/node"))
        .arg(root().join("scripts/contracts/parse-asyncapi.mjs"))
        .env("NODE_MODULES", tools.join("node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("what `scripts/setup test` installs");
    parser.stdin.take().unwrap().write_all(made.to_string().as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn a_running_process_shows_its_contracts() {
    let world = World::new().await;
    let daybook = world.start().await;
    let shown = daybook.http.get(format!("{}/asyncapi.json", daybook.url)).send().await.unwrap();
    assert_eq!(shown.headers()["content-type"], "application/json");
    assert_eq!(shown.json::<Value>().await.unwrap(), daybook::contracts::asyncapi());
    daybook.stop().await;
}
