//! Intents and refunds as Stripe's JSON objects: the fields a caller reads, and those that tell the
//! objects apart.

use serde_json::{Value, json};

use super::ledger::{Intent, Refund, Stage};

impl Intent {
    /// Stripe's word for the stage.
    pub(super) fn status(&self) -> &'static str {
        match self.stage {
            Stage::Declined => "requires_payment_method",
            Stage::Held => "requires_capture",
            Stage::Captured { .. } => "succeeded",
            Stage::Cancelled { .. } => "canceled",
        }
    }

    /// The charge has the intent's id with a prefix of its own: an intent makes one attempt here.
    pub(super) fn charge(&self) -> String {
        self.id.replacen("pi_", "ch_", 1)
    }

    pub(super) fn json(&self) -> Value {
        let (capturable, received) = match self.stage {
            Stage::Declined | Stage::Cancelled { .. } => (0, 0),
            Stage::Held => (self.amount, 0),
            Stage::Captured { amount, .. } => (0, amount),
        };
        let (canceled_at, cancellation_reason) = match &self.stage {
            Stage::Cancelled { at, reason, .. } => (Some(*at), reason.as_deref()),
            Stage::Declined | Stage::Held | Stage::Captured { .. } => (None, None),
        };
        json!({
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": capturable,
            "amount_received": received,
            "canceled_at": canceled_at,
            "cancellation_reason": cancellation_reason,
            "capture_method": if self.manual { "manual" } else { "automatic" },
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency,
            "last_payment_error": self.decline().map(|decline| decline.error()),
            "latest_charge": self.charge(),
            "livemode": false,
            "metadata": self.metadata,
            "next_action": null,
            "payment_method": self.method,
            "payment_method_types": ["card"],
            "status": self.status(),
        })
    }
}

impl Refund {
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "charge": self.intent.replacen("pi_", "ch_", 1),
            "created": self.created,
            "currency": self.currency,
            "metadata": self.metadata,
            "payment_intent": self.intent,
            "reason": null,
            "status": "succeeded",
        })
    }
}
