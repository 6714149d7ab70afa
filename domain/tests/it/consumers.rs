//! What consumers expect of the services that they ask and whose events they read, held against the owners alone. Each file
//! of `docs/contracts/consumers` is written by its consumer's own tests; what the last release expected, which may still run
//! beside this build, is kept in `docs/contracts/released/consumers.json`.

use crate::contracts::{committed, contracts, read, write};
use crate::corpus;
use decider::{Decider, Owes};
use domain::contract::payloads;
use domain::inventory::stock::{self, Stock};
use domain::orders::order::{self, Order};
use domain::payments::payment::{self, Command, Outcome, Payment};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::{env, fs};

/// Every contract, by the name of its file.
fn of_now() -> Map<String, Value> {
    let files = fs::read_dir(contracts().join("consumers")).unwrap();
    let contracts = files.map(|file| {
        let path = file.unwrap().path();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path))
    });
    contracts.collect()
}

fn of_the_release() -> Map<String, Value> {
    let path = contracts().join("released/consumers.json");
    if env::var_os("RELEASE_CONTRACTS").is_some() {
        write(&path, &of_now().into());
    }
    read(&path).as_object().unwrap().clone()
}

#[test]
fn every_request_that_is_recorded_is_understood_and_decided_as_its_consumer_expects() {
    for (name, contract) in of_now().into_iter().chain(of_the_release()) {
        for request in contract["requests"].as_array().unwrap() {
            let decided = decides(&contract, request);
            decided.unwrap_or_else(|why| panic!("{name}, {}: {why}", request["name"]));
        }
    }
}

#[test]
fn what_consumers_read_is_in_every_event() {
    let released = read(&contracts().join("released/events.json"));
    let released = released.as_object().unwrap();
    for (name, contract) in of_now().into_iter().chain(of_the_release()) {
        for (event_type, read) in contract["reads"].as_object().unwrap() {
            let missing = missing(event_type, read, &committed(), released);
            assert!(missing.is_empty(), "{name} reads {event_type}: {missing:?}");
        }
    }
}

#[test]
fn a_change_on_one_side_alone_is_found() {
    let contract = &of_now()["checkout-of-inventory"];
    let request = &contract["requests"][0];
    let changed = |edit: fn(&mut Value)| {
        let mut request = request.clone();
        edit(&mut request);
        decides(contract, &request).unwrap_err()
    };
    let why = changed(|it| {
        let command = it["body"]["command"]["reserve"].as_object_mut().unwrap();
        let quantity = command.remove("quantity").unwrap();
        command.insert("pieces".into(), quantity);
    });
    assert!(why.contains("unknown field `pieces`"), "{why}");
    let why = changed(|it| it["body"]["stream"] = "shelf-A".into());
    assert!(why.contains("shelf-A"), "{why}");
    let why = changed(|it| it["answer"]["events"] = json!(["stock.held"]));
    assert!(why.contains("stock.held"), "{why}");
    let why = changed(|it| it["then"] = json!([]));
    assert!(why.contains("stock.reserved"), "{why}");
    let why = changed(|it| it["answer"] = json!({"status": 409, "problem": "out-of-stock"}));
    assert!(why.contains("out-of-stock"), "{why}");

    let reserved = &contract["reads"]["stock.reserved"];
    let mut schemas = committed();
    schemas["stock.reserved.v1"]["properties"].as_object_mut().unwrap().remove("order");
    let why = missing("stock.reserved", reserved, &schemas, &committed());
    assert!(why.iter().any(|why| why.contains("order")), "{why:?}");
    let why = missing("stock.reserved", reserved, &committed(), &schemas);
    assert!(why.iter().any(|why| why.contains("order")), "{why:?}");
    let newer = json!({"schema": 2, "fields": []});
    assert!(!missing("stock.reserved", &newer, &committed(), &committed()).is_empty());
}

/// What of this request is not as the consumer expects.
fn decides(contract: &Value, request: &Value) -> Result<(), String> {
    let reads = &contract["reads"];
    match contract["owner"].as_str().unwrap() {
        "inventory" => {
            let is_own = |stream: &str| stock::id_of(stream).is_some();
            holds::<Stock>(request, reads, is_own, stock::Rejection::slug, |_| Vec::new())
        }
        "orders" => {
            let is_own = |stream: &str| order::id_of(stream).is_some();
            holds::<Order>(request, reads, is_own, order::Rejection::slug, |_| Vec::new())
        }
        "payments" => {
            let is_own = |stream: &str| payment::id_of(stream).is_some();
            holds::<Payment>(request, reads, is_own, payment::Rejection::slug, outcomes)
        }
        other => Err(format!("{other} is asked nothing")),
    }
}

/// `later` tells what may follow on what is decided, if that is not all.
fn holds<D: Decider>(
    request: &Value,
    reads: &Value,
    is_own: impl Fn(&str) -> bool,
    slug: fn(&D::Rejection) -> &'static str,
    later: impl Fn(&D::State) -> Vec<D::Event>,
) -> Result<(), String> {
    let (body, answer) = (&request["body"], &request["answer"]);
    let stream = body["stream"].as_str().unwrap();
    if !is_own(stream) {
        return Err(format!("{stream} is no stream of this owner"));
    }
    let given: Vec<D::Event> = request["given"].as_array().unwrap().iter().map(event).collect();
    let state = D::fold(D::State::default(), &given);
    let command = serde_json::from_value::<D::Command>(body["command"].clone());
    let command = command.map_err(|error| error.to_string())?;
    let decided = match D::decide(&state, &command) {
        Ok(decided) => decided,
        Err(rejection) => {
            let answered = json!({ "status": 409, "problem": slug(&rejection) });
            let same = ["status", "problem"].iter().all(|key| answer[*key] == answered[*key]);
            return same.then_some(()).ok_or(format!("{answered} instead of {answer}"));
        }
    };
    let types = decided.iter().map(type_of).collect::<Vec<_>>();
    let answered = json!({ "status": 200, "events": types });
    if answered != *answer {
        return Err(format!("{answered} instead of {answer}"));
    }
    let later = later(&D::fold(state, &decided));
    let follows = if later.is_empty() { decided } else { later };
    let expected = request["then"].as_array().unwrap().iter();
    let expected: BTreeSet<_> = expected.map(|it| it.as_str().unwrap().to_owned()).collect();
    let types: BTreeSet<_> = follows.iter().map(type_of).collect();
    if types != expected {
        return Err(format!("{types:?} follows instead of {expected:?}"));
    }
    let unread = follows.iter().flat_map(|event| {
        let (event_type, payload) = (type_of(event), payload_of(event));
        let fields = reads[&event_type]["fields"].as_array();
        let Some(fields) = fields else { return vec![event_type] };
        let fields = fields.iter().map(|field| field.as_str().unwrap());
        let absent = fields.filter(|field| !is_there(&payload, field));
        absent.map(|field| format!("{event_type}: {field}")).collect()
    });
    let unread: Vec<_> = unread.collect();
    unread.is_empty().then_some(()).ok_or(format!("the consumer cannot read {unread:?}"))
}

/// What the provider may answer to what a payment owes it.
fn outcomes(state: &payment::State) -> Vec<payment::Event> {
    let reason = || "card-declined".parse().unwrap();
    let all = || {
        [
            Outcome::Succeeded { reference: "pi_1".to_owned() },
            Outcome::Declined { reason: reason() },
            Outcome::Failed { reason: reason() },
        ]
    };
    let answer = |call: payment::Call, outcome| {
        let (operation, attempt) = (call.operation, call.attempt);
        Payment::decide(state, &Command::Answer { operation, attempt, outcome }).unwrap()
    };
    let owed = Payment::pending(state).into_iter().map(|due| due.request);
    owed.flat_map(|call| all().into_iter().flat_map(move |it| answer(call.clone(), it))).collect()
}

fn event<E: decider::Event>(stored: &Value) -> E {
    let event_type = stored["type"].as_str().unwrap();
    let version = stored["schema"].as_i64().unwrap().try_into().unwrap();
    let read = corpus::read(event_type, version, &stored["payload"].to_string());
    read.unwrap_or_else(|| panic!("{event_type}.v{version} cannot be read"))
}

fn type_of<E: decider::Event>(event: &E) -> String {
    serde_json::to_value(event).unwrap().as_object().unwrap().keys().next().unwrap().clone()
}

fn payload_of<E: decider::Event>(event: &E) -> Value {
    serde_json::to_value(event).unwrap()[type_of(event)].clone()
}

/// Whether a payload has a field, `lines[].sku`, wherever it may stand.
fn is_there(payload: &Value, path: &str) -> bool {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let inner = |value: &Value| rest.is_empty() || is_there(value, rest);
    match name.strip_suffix("[]") {
        Some(name) => payload[name].as_array().is_some_and(|items| items.iter().all(inner)),
        None => name.ends_with('?') || payload.get(name).is_some_and(inner),
    }
}

/// What a consumer reads of a type of event, and the schemas of its owner do not promise.
fn missing(
    event_type: &str,
    read: &Value,
    schemas: &Map<String, Value>,
    released: &Map<String, Value>,
) -> Vec<String> {
    let version = read["schema"].as_i64().unwrap();
    let written = payloads().into_iter().find(|event| event.event_type == event_type);
    if written.is_none_or(|event| i64::from(event.version) < version) {
        return vec![format!("version {version} is written by nobody")];
    }
    let name = format!("{event_type}.v{version}");
    let mut absent = Vec::new();
    for schema in [schemas.get(&name), released.get(&name)].into_iter().flatten() {
        let fields = read["fields"].as_array().unwrap().iter();
        let fields = fields.map(|field| field.as_str().unwrap());
        absent.extend(fields.filter(|it| !promises(schema, schema, it)).map(str::to_owned));
    }
    absent
}

/// Whether whoever is valid by the schema has the field; one that may be missing has to be described.
fn promises(root: &Value, schema: &Value, path: &str) -> bool {
    let defined = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    let schema = defined.map_or(schema, |pointer| root.pointer(pointer).unwrap());
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let list = name.strip_suffix("[]");
    let may_be_missing = name.ends_with('?');
    let name = list.unwrap_or(name).trim_end_matches('?');
    let required = schema["required"].as_array();
    let is_required = required.is_some_and(|all| all.iter().any(|it| it == name));
    let property = &schema["properties"][name];
    let inner = if list.is_some() { &property["items"] } else { property };
    (is_required || may_be_missing)
        && !property.is_null()
        && (rest.is_empty() || promises(root, inner, rest))
}
