//! `POST /v1/payment_intents/{id}/capture`: take what is held; what is not taken is released.

use axum::http::StatusCode;
use serde_json::Value;

use super::character::Character;
use super::fault::Fault;
use super::ledger::{Fact, Ledger, Stage};
use super::operation::{Act, Shows};
use super::params::Params;

pub(super) fn decide(ledger: &Ledger, id: &str, params: &Params) -> Result<Act, Fault> {
    params.only(&["amount_to_capture"])?;
    let wanted = params.amount("amount_to_capture")?;
    let intent = ledger
        .intent(id)
        .ok_or_else(|| Fault::missing("payment_intent", id, "intent", StatusCode::NOT_FOUND))?;
    match intent.stage {
        Stage::Held => {}
        Stage::Captured { .. } => {
            let message = "This PaymentIntent could not be captured because it has already been \
                           captured.";
            let code = "payment_intent_unexpected_state";
            return Err(Fault::refused(code, message.to_owned(), intent.json()));
        }
        Stage::Declined | Stage::Cancelled { .. } => {
            let message = format!(
                "This PaymentIntent could not be captured because it has a status of {}. Only a \
                 PaymentIntent with one of the following statuses may be captured: requires_capture.",
                intent.status()
            );
            let code = "payment_intent_unexpected_state";
            return Err(Fault::refused(code, message, intent.json()));
        }
    }
    if intent.character() == Some(Character::CaptureFails) {
        let gone = Fact::Cancelled { intent: id.to_owned(), reason: Some("expired".to_owned()) };
        let shows = Shows::Failure { intent: id.to_owned(), failure: expired };
        return Ok(Act { facts: vec![gone], shows });
    }
    let amount = wanted.unwrap_or(intent.amount);
    if amount > intent.amount {
        let what = "is more than what was authorised";
        return Err(Fault::parameter("amount_too_large", "amount_to_capture", what));
    }
    let facts = vec![Fact::Captured { intent: id.to_owned(), amount }];
    Ok(Act { facts, shows: Shows::Intent(id.to_owned()) })
}

fn expired(ledger: &Ledger, intent: &str) -> Fault {
    let message = "This charge cannot be captured because its authorization has expired.";
    let intent = ledger.intent(intent).map_or(Value::Null, |intent| intent.json());
    Fault::refused("charge_expired_for_capture", message.to_owned(), intent)
}
