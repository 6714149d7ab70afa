//! What the checkout expects of those whom it asks, recorded for them in `docs/contracts/consumers`: each request as it is
//! sent, what is answered, and what it reads of the events that follow. The owners hold their own builds against it.

mod case;
mod inventory;
mod orders;
mod payments;

use axum::body::Bytes;
use decider::{Decider, Due, Owes};
use domain::checkout::checkout::{self, Checkout, Command, Request, State};
use domain::contract::kit;
use edge::Answered;
use event_store::Recorded;
use event_store::dues::{Claimed, request_id};
use event_store::follow::ApplyError;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;

use self::case::{Answer, Case, PATIENCE};
use super::ask::{self, Ask};
use super::reactor::{self, LOGS};
use crate::port::{self, Refusal};

fn cases(owner: &str) -> Vec<Case> {
    match owner {
        "orders" => orders::cases(),
        "inventory" => inventory::cases(),
        "payments" => payments::cases(),
        other => panic!("say what a checkout asks of {other}"),
    }
}

#[test]
fn what_a_checkout_asks_and_reads_of_its_neighbours_is_recorded() {
    for owner in LOGS {
        let requests: Vec<_> = cases(owner).iter().map(recorded).collect();
        let read = |event_type: &str, version: i32, payload: &str| {
            let heard = heard_as(owner, event_type, version, payload);
            Ok::<_, ApplyError>(reactor::react(&heard, PATIENCE)?.map(|told| format!("{told:?}")))
        };
        let contract = json!({
            "consumer": "checkout",
            "owner": owner,
            "requests": requests,
            "reads": kit::reads(owner, read),
        });
        kit::is_recorded(&format!("checkout-of-{owner}"), &contract);
    }
}

#[test]
fn every_request_is_recorded_and_so_is_everything_that_a_checkout_hears() {
    let complaint = serde_json::from_str::<Request>(r#"{"?":{}}"#).unwrap_err().to_string();
    let all =
        complaint.split('`').skip(1).step_by(2).filter(|name| !["?", "deadline"].contains(name));
    let all: BTreeSet<_> = all.map(str::to_owned).collect();
    let name = |case: Case| {
        let request = serde_json::to_value(owed(&case).request).unwrap();
        request.as_object().unwrap().keys().next().unwrap().clone()
    };
    let recorded: BTreeSet<_> = LOGS.into_iter().flat_map(cases).map(name).collect();
    assert_eq!(recorded, all);
}

#[test]
fn what_follows_on_a_request_settles_it() {
    for case in LOGS.into_iter().flat_map(cases) {
        let due = owed(&case);
        for event_type in &case.then {
            let after = hear(state(&case), &case.happens(event_type));
            let left = Checkout::pending(&after);
            let settled = left.iter().all(|other| other.key != due.key);
            assert!(settled, "{}: {event_type} leaves {left:?}", case.name);
        }
    }
}

#[test]
fn what_is_answered_is_understood() {
    for case in LOGS.into_iter().flat_map(cases) {
        let answered = match case.answer {
            Answer::Done(_) => Answered::Done(Bytes::new()),
            Answer::Later(slug) | Answer::Never(slug) => {
                Answered::Refused(StatusCode::CONFLICT, slug.to_owned())
            }
        };
        let understood = port::heard("the owner", answered);
        let understood = match asks(&case) {
            Ask::Payment(..) => understood.map_err(ask::of_payment),
            Ask::Stock(..) | Ask::Order(..) | Ask::Itself(_) => understood,
        };
        let is_right = match (&case.answer, &understood) {
            (Answer::Done(_), Ok(())) | (Answer::Later(_), Err(Refusal::Later(_))) => true,
            (Answer::Never(slug), Err(Refusal::ForGood(heard))) => *slug == heard.as_str(),
            (Answer::Done(_) | Answer::Later(_) | Answer::Never(_), Ok(()) | Err(_)) => false,
        };
        assert!(is_right, "{}: {understood:?}", case.name);
    }
}

/// An event of the corpus, of some stream of its owner.
fn heard_as(owner: &str, event_type: &str, version: i32, payload: &str) -> Recorded {
    let some = Case::new("some");
    let mut event = match owner {
        "orders" => some.placed(),
        "inventory" => some.received(1),
        _ => some.authorised(),
    };
    event.event_type = event_type.to_owned();
    event.schema_version = version;
    event.payload = payload.to_owned();
    event
}

/// What is written down for the owner.
fn recorded(case: &Case) -> Value {
    let (stream, body) = match asks(case) {
        Ask::Stock(stream, command) => (stream.clone(), sent(case, &stream, &command)),
        Ask::Order(stream, command) => (stream.clone(), sent(case, &stream, &command)),
        Ask::Payment(stream, command) => (stream.clone(), sent(case, &stream, &command)),
        Ask::Itself(_) => panic!("{}: nobody else is asked", case.name),
    };
    let given = case.history.iter().chain(&case.since).filter(|event| event.stream == stream);
    let given: Vec<_> = given.map(stored).collect();
    let answer = match case.answer {
        Answer::Done(events) => json!({ "status": 200, "events": events }),
        Answer::Later(slug) => json!({ "status": 409, "problem": slug, "asked_again": true }),
        Answer::Never(slug) => json!({ "status": 409, "problem": slug, "asked_again": false }),
    };
    json!({ "name": case.name, "given": given, "body": body, "answer": answer, "then": case.then })
}

fn stored(event: &Recorded) -> Value {
    let payload: Value = serde_json::from_str(&event.payload).unwrap();
    json!({ "type": event.event_type, "schema": event.schema_version, "payload": payload })
}

/// The body that goes over the wire, but for when it was sent and which event made it owed.
fn sent(case: &Case, stream: &str, command: &impl serde::Serialize) -> Value {
    let due = owed(case);
    let own = checkout::stream(case.order);
    let claimed = Claimed {
        command_id: request_id(&own, &due.key),
        stream: own,
        key: due.key,
        request: due.request,
        metadata: case::metadata(case.order),
        due_at: case::then(),
        tries: 1,
    };
    let mut envelope = crate::envelope::of_request(&claimed);
    envelope.occurred_at = case::then();
    port::body(stream, command, &envelope)
}

fn asks(case: &Case) -> Ask {
    Ask::of(case.order, &owed(case).request)
}

/// What the checkout owes when it has heard what has happened.
fn owed(case: &Case) -> Due<Request> {
    let owed = Checkout::pending(&state(case));
    let is_it = |due: &Due<Request>| due.key.split(':').next() == Some(case.owes);
    let due = owed.iter().find(|due| is_it(due));
    due.unwrap_or_else(|| panic!("{}: no {} in {owed:?}", case.name, case.owes)).clone()
}

fn state(case: &Case) -> State {
    case.told.iter().fold(case.history.iter().fold(State::default(), hear), tell)
}

fn hear(state: State, event: &Recorded) -> State {
    match reactor::react(event, PATIENCE).unwrap() {
        Some((_, fact)) => tell(state, &fact),
        None => state,
    }
}

fn tell(state: State, command: &Command) -> State {
    let events = Checkout::decide(&state, command).unwrap();
    Checkout::fold(state, &events)
}
