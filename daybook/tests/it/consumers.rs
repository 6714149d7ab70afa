//! What consumers expect of those whom they ask, over the wire: each request of `docs/contracts/consumers` is sent as it
//! is recorded to a process that has nothing but the owners in it, and is answered as it is recorded.

use crate::support::World;
use domain::contract::payloads;
use event_store::{Chain, Database, Entry, EventEntry, Log, LogSettings, Metadata, StoredMetadata};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const CONSUMERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contracts/consumers");

#[tokio::test]
async fn every_request_that_a_consumer_has_recorded_is_answered_over_the_wire_as_he_expects() {
    let mut world = World::new().await.without_kafka();
    world.flags = ["--role", "commands"].map(str::to_owned).to_vec();
    let daybook = world.start().await;
    let mut asked = BTreeSet::new();
    for file in fs::read_dir(CONSUMERS).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let contract: Value = serde_json::from_str(&text).unwrap();
        let owner = contract["owner"].as_str().unwrap();
        let log = open(&world, owner).await;
        for request in contract["requests"].as_array().unwrap() {
            let stream = request["body"]["stream"].as_str().unwrap();
            give(&log, stream, &request["given"]).await;
            let answer = daybook.send("/internal/commands", None, &request["body"]).await.unwrap();
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.unwrap();
            let expected = &request["answer"];
            let name = format!("{}: {status} {body}", request["name"]);
            assert_eq!(expected["status"], status, "{name}");
            match expected["problem"].as_str() {
                Some(slug) => {
                    assert_eq!(body["type"], format!("urn:daybook:problem:{slug}"), "{name}");
                }
                None => {
                    assert_eq!(body["events"], expected["events"], "{name}");
                    assert_eq!(body["stream"], stream, "{name}");
                }
            }
            asked.insert(owner.to_owned());
        }
        log.close().await;
    }
    assert_eq!(Vec::from_iter(asked), ["inventory", "orders", "payments"]);
    daybook.stop().await;
}

async fn open(world: &World, service: &str) -> Log {
    let database = Database::parse(&world.database_url).unwrap().of_service(service);
    Log::open(LogSettings::new(service, 8, database)).await.unwrap()
}

/// Puts what has happened before into the owner's log.
async fn give(log: &Log, stream: &str, given: &Value) {
    let types = payloads();
    let event = |stored: &Value| {
        let event = types.iter().find(|event| event.event_type == stored["type"]).unwrap();
        let metadata = Metadata { actor: "tests".to_owned(), ..Metadata::default() };
        EventEntry {
            event_id: edge::ids::mint(),
            event_type: event.event_type,
            schema_version: stored["schema"].as_i64().unwrap().try_into().unwrap(),
            payload: stored["payload"].to_string(),
            metadata: StoredMetadata { metadata, fingerprint: None },
            occurred_at: edge::clock::now(),
        }
    };
    let events: Vec<_> = given.as_array().unwrap().iter().map(event).collect();
    if events.is_empty() {
        return;
    }
    let entries = vec![Entry { command_id: edge::ids::mint(), events }];
    let chain = Chain { stream: stream.to_owned(), expected: 0, entries };
    let appended = log.append(chain).await.unwrap();
    assert!(appended.recorded_at.is_some(), "{stream}: {appended:?}");
}
