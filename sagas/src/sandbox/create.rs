//! `POST /v1/payment_intents`: make an intent and confirm it in one go.

use axum::http::StatusCode;
use serde_json::Value;

use super::character::Character;
use super::fault::Fault;
use super::ledger::{Fact, Ledger};
use super::operation::{Act, Shows, mint};
use super::params::Params;

const KNOWN: &[&str] = &[
    "amount",
    "currency",
    "payment_method",
    "payment_method_types[]",
    "payment_method_types[0]",
    "confirm",
    "capture_method",
    "off_session",
    "description",
];

pub(super) fn decide(params: &Params) -> Result<Act, Fault> {
    params.only(KNOWN)?;
    params.required("amount")?;
    let amount = params.amount("amount")?.unwrap_or_default();
    let currency = params.required("currency")?.to_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(Fault::parameter("parameter_invalid", "currency", "is no currency code"));
    }
    if params.text("confirm") != Some("true") {
        return Err(Fault::parameter(
            "parameter_invalid",
            "confirm",
            "must be true in the sandbox",
        ));
    }
    let manual = match params.text("capture_method") {
        Some("manual") => true,
        Some("automatic" | "automatic_async") | None => false,
        Some(_) => {
            return Err(Fault::parameter("parameter_invalid", "capture_method", "is unknown"));
        }
    };
    let method = params.required("payment_method")?.to_owned();
    let Some(character) = Character::of(&method) else {
        let bad = StatusCode::BAD_REQUEST;
        return Err(Fault::missing("PaymentMethod", &method, "payment_method", bad));
    };
    let intent = mint("pi");
    let metadata = params.metadata();
    let act = match character {
        Character::Declines(_) => Act {
            facts: vec![Fact::Declined {
                intent: intent.clone(),
                amount,
                currency,
                method,
                manual,
                metadata,
            }],
            shows: Shows::Failure { intent, failure: declined },
        },
        Character::Works
        | Character::Slow
        | Character::ErrorsFirst
        | Character::AnswerLost
        | Character::ErrorKept
        | Character::CaptureFails => {
            let held = Fact::Authorised {
                intent: intent.clone(),
                amount,
                currency,
                method,
                manual,
                metadata,
            };
            let mut facts = vec![held];
            if !manual {
                facts.push(Fact::Captured { intent: intent.clone(), amount });
            }
            Act { facts, shows: Shows::Intent(intent) }
        }
    };
    Ok(act)
}

fn declined(ledger: &Ledger, intent: &str) -> Fault {
    let intent = ledger.intent(intent);
    let error = intent.and_then(|intent| intent.decline()).map(|decline| decline.error());
    Fault::card(error.unwrap_or_default(), intent.map_or(Value::Null, |intent| intent.json()))
}
