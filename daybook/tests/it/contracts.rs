//! The documents that are made of the code are the committed ones, and their own tools read them.

use crate::support::World;
use daybook::table::Table;
use serde_json::Value;
use std::collections::BTreeSet;
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
        fs::write(&path, pretty(made)).unwrap();
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

/// AsyncAPI's own diff knows what breaks a reader of a topic; a change that does takes a version whose first number is
/// higher. What it leaves to others, the schemas of payloads and headers, is compared in `domain/tests/it/contracts.rs`.
#[test]
fn what_readers_of_the_topics_were_promised_with_the_last_release_is_kept_or_the_version_goes_up() {
    let path = root().join("docs/contracts/released/asyncapi.json");
    let now = daybook::contracts::asyncapi();
    if env::var_os("RELEASE_CONTRACTS").is_some() {
        fs::write(&path, pretty(&now)).unwrap();
    }
    let released: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let broken = broken(&released, &now);
    assert!(broken.is_empty() || major(&now) > major(&released), "{broken}");
}

#[test]
fn a_change_that_breaks_a_reader_of_a_topic_is_told_from_one_that_does_not() {
    let now = daybook::contracts::asyncapi();
    let edited = |edit: fn(&mut Value)| {
        let mut after = now.clone();
        edit(&mut after);
        broken(&now, &after)
    };
    for (broken, of) in [
        (edited(|it| it["channels"]["orders"]["address"] = "other".into()), "orders/address"),
        (
            edited(|it| it["channels"]["orders"]["bindings"]["kafka"]["topic"] = "other".into()),
            "orders/bindings/kafka/topic",
        ),
        (
            edited(|it| {
                gone(&mut it["channels"], "orders");
                gone(&mut it["operations"], "orders.copy");
            }),
            "/channels/orders",
        ),
        (
            edited(|it| {
                gone(&mut it["channels"]["orders"]["messages"], "order.placed");
                let listed = it["operations"]["orders.copy"]["messages"].as_array_mut().unwrap();
                listed.retain(|it| !it["$ref"].as_str().unwrap().ends_with("order.placed"));
            }),
            "orders/messages/order.placed",
        ),
        (
            edited(|it| gone(&mut it["components"]["messages"]["order.placed"], "traits")),
            "order.placed",
        ),
    ] {
        assert!(broken.contains(of), "{of}: {broken:?}");
    }
    for kept in [
        edited(|it| it["channels"]["more"] = serde_json::json!({"address": "more-events"})),
        edited(|it| it["info"]["version"] = "0.9.1".into()),
        edited(|it| {
            it["components"]["schemas"]["order.placed"]["properties"]["gift"] = true.into();
        }),
        edited(|_| {}),
    ] {
        assert_eq!(kept, "");
    }
    for (name, message) in now["components"]["messages"].as_object().unwrap() {
        let schema = format!("#/components/schemas/{name}");
        assert_eq!(message["payload"]["$ref"], *schema, "the schemas are compared by their names");
    }
}

fn gone(of: &mut Value, name: &str) {
    of.as_object_mut().unwrap().remove(name).unwrap();
}

/// What of a document breaks those who rely on another one.
fn broken(released: &Value, now: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let tools = root().join(".tools/contracts");
    let output = Command::new(tools.join("venv/bin/node"))
        .arg(root().join("scripts/contracts/diff-asyncapi.mjs"))
        .args([written(&folder, "released", released), written(&folder, "now", now)])
        .env("NODE_MODULES", tools.join("node_modules"))
        .output()
        .expect("what `scripts/setup test` installs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.success(),
        told.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    told
}

/// The first number of a document's version.
fn major(document: &Value) -> u32 {
    document["info"]["version"].as_str().unwrap().split('.').next().unwrap().parse().unwrap()
}

fn written(folder: &tempfile::TempDir, name: &str, document: &Value) -> PathBuf {
    let path = folder.path().join(name).with_extension("json");
    fs::write(&path, document.to_string()).unwrap();
    path
}

#[test]
fn the_endpoints_are_described_as_they_are_committed() {
    is_committed("openapi.json", &openapi());
}

/// oasdiff knows what breaks a client; a change that does takes a version whose first number is higher.
#[test]
fn what_clients_were_promised_with_the_last_release_is_kept_or_the_version_goes_up() {
    let released = root().join("docs/contracts/released/openapi.json");
    if env::var_os("RELEASE_CONTRACTS").is_some() {
        fs::write(&released, pretty(&openapi())).unwrap();
    }
    let released: Value = serde_json::from_str(&fs::read_to_string(&released).unwrap()).unwrap();
    let (kept, told) = keeps(&released, &openapi());
    assert!(kept, "{told}");

    let mut broken = released.clone();
    let lines = &mut broken["paths"]["/v1/orders"]["post"]["requestBody"]["content"];
    let schema = &mut lines["application/json"]["schema"];
    schema["required"].as_array_mut().unwrap().push("customer".into());
    let (kept, told) = keeps(&released, &broken);
    assert!(!kept && told.contains("customer"), "{told}");
    broken["info"]["version"] = "99.0.0".into();
    let (kept, told) = keeps(&released, &broken);
    assert!(kept, "{told}");
}

fn keeps(released: &Value, now: &Value) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(root().join(".tools/contracts/bin/oasdiff"))
        .arg("breaking")
        .args([written(&folder, "released", released), written(&folder, "now", now)])
        .args(["--fail-on", "MISSING-VERSION-BUMP", "--color", "never"])
        .output()
        .expect("what `scripts/setup test` installs");
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

/// As it is where callers are asked who they are.
fn openapi() -> Value {
    daybook::contracts::openapi(true)
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap() + "\n"
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described: BTreeSet<_> = daybook::contracts::operations()
        .into_iter()
        .map(|operation| (operation.path, operation.method.to_string()))
        .collect();
    let rows = Table::new(false).rows();
    let routed: BTreeSet<_> =
        rows.into_iter().map(|row| (row.path, row.method.to_string())).collect();
    let untold: Vec<_> = routed.difference(&described).collect();
    assert!(untold.is_empty(), "no operation tells of {untold:?}");
    let gone: Vec<_> = described.difference(&routed).collect();
    assert!(gone.is_empty(), "nothing is routed at {gone:?}");
}

#[test]
fn every_problem_of_an_operation_has_a_page_and_every_operation_a_name_of_its_own() {
    let kinds: BTreeSet<_> = daybook::problems::kinds().map(|kind| kind.slug).collect();
    let mut names = BTreeSet::new();
    for operation in daybook::contracts::operations() {
        let unknown: Vec<_> =
            operation.problems.iter().filter(|slug| !kinds.contains(**slug)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", operation.path);
        assert!(names.insert(operation.id), "{} is the name of two", operation.id);
    }
}

#[tokio::test]
async fn a_running_process_shows_its_contracts() {
    let world = World::new().await;
    let daybook = world.start().await;
    let shown = daybook.http.get(format!("{}/asyncapi.json", daybook.url)).send().await.unwrap();
    assert_eq!(shown.headers()["content-type"], "application/json");
    assert_eq!(shown.json::<Value>().await.unwrap(), daybook::contracts::asyncapi());
    let ask =
        async |path: &str| daybook.http.get(format!("{}{path}", daybook.url)).send().await.unwrap();
    let shown = ask("/openapi.json").await;
    let own = daybook::contracts::openapi(false);
    assert_eq!(shown.json::<Value>().await.unwrap(), own);
    // The reader asks nobody else: what the page names is served here.
    let page = ask("/docs").await.text().await.unwrap();
    assert!(!page.contains("://"), "{page}");
    for path in page.split('"').filter(|word| word.starts_with('/')) {
        assert_eq!(ask(path).await.status(), 200, "{path}");
    }
    daybook.stop().await;
}
