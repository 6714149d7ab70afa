//! `POST /v1/refunds`: give back what was taken, whole or in part.

use axum::http::StatusCode;

use super::fault::Fault;
use super::ledger::{Fact, Ledger, Stage};
use super::operation::{Act, Shows, mint};
use super::params::Params;

const REASONS: &[&str] = &["duplicate", "fraudulent", "requested_by_customer"];

pub(super) fn decide(ledger: &Ledger, params: &Params) -> Result<Act, Fault> {
    params.only(&["payment_intent", "amount", "reason"])?;
    let id = params.required("payment_intent")?;
    let wanted = params.amount("amount")?;
    if params.text("reason").is_some_and(|reason| !REASONS.contains(&reason)) {
        return Err(Fault::parameter("parameter_invalid", "reason", "is unknown"));
    }
    let intent = ledger.intent(id).ok_or_else(|| {
        Fault::missing("payment_intent", id, "payment_intent", StatusCode::NOT_FOUND)
    })?;
    let left = match intent.stage {
        Stage::Captured { amount, refunded } => amount - refunded,
        Stage::Declined | Stage::Held | Stage::Cancelled { .. } => {
            let message =
                format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
            return Err(Fault::refused("payment_intent_unexpected_state", message, intent.json()));
        }
    };
    if left == 0 {
        let message = format!("Charge {} has already been refunded.", intent.charge());
        return Err(Fault::refused("charge_already_refunded", message, intent.json()));
    }
    let amount = wanted.unwrap_or(left);
    if amount > left {
        let what = "is more than what is left of the charge";
        return Err(Fault::parameter("amount_too_large", "amount", what));
    }
    let refund = mint("re");
    let fact = Fact::Refunded {
        refund: refund.clone(),
        intent: id.to_owned(),
        amount,
        metadata: params.metadata(),
    };
    Ok(Act { facts: vec![fact], shows: Shows::Refund(refund) })
}
