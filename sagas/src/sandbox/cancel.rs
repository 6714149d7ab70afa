//! `POST /v1/payment_intents/{id}/cancel`: let go of what is held.

use axum::http::StatusCode;

use super::fault::Fault;
use super::ledger::{Fact, Ledger, Stage};
use super::operation::{Act, Shows};
use super::params::Params;

const REASONS: &[&str] = &["duplicate", "fraudulent", "requested_by_customer", "abandoned"];

pub(super) fn decide(ledger: &Ledger, id: &str, params: &Params) -> Result<Act, Fault> {
    params.only(&["cancellation_reason"])?;
    let reason = params.text("cancellation_reason");
    if reason.is_some_and(|reason| !REASONS.contains(&reason)) {
        return Err(Fault::parameter("parameter_invalid", "cancellation_reason", "is unknown"));
    }
    let intent = ledger
        .intent(id)
        .ok_or_else(|| Fault::missing("payment_intent", id, "intent", StatusCode::NOT_FOUND))?;
    match intent.stage {
        Stage::Held | Stage::Declined => {
            let facts =
                vec![Fact::Cancelled { intent: id.to_owned(), reason: reason.map(str::to_owned) }];
            Ok(Act { facts, shows: Shows::Intent(id.to_owned()) })
        }
        Stage::Captured { .. } | Stage::Cancelled { .. } => {
            let message = format!(
                "You cannot cancel this PaymentIntent because it has a status of {}. Only a \
                 PaymentIntent with one of the following statuses may be canceled: \
                 requires_payment_method, requires_capture, requires_confirmation, \
                 requires_action, processing.",
                intent.status()
            );
            Err(Fault::refused("payment_intent_unexpected_state", message, intent.json()))
        }
    }
}
