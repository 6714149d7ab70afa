//! Stripe's objects, as far as they are read, and what each state of theirs means for us.

use std::collections::HashMap;

use domain::payments::payment::Outcome;
use domain::values::Reason;
use serde::Deserialize;

use super::http::Refused;
use super::{Unknown, failed};

#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    status: String,
    #[serde(default)]
    amount_received: i64,
    last_payment_error: Option<StripeError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    id: String,
    status: String,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: StripeError,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct StripeError {
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) message: Option<String>,
}

impl Intent {
    /// What became of the authorisation.
    pub(super) fn authorisation(&self) -> Result<Outcome, Unknown> {
        match self.status.as_str() {
            "requires_capture" | "succeeded" => {
                Ok(Outcome::Succeeded { reference: self.id.clone() })
            }
            "requires_payment_method" => {
                let error = self.last_payment_error.clone().unwrap_or_default();
                Ok(Outcome::Declined { reason: error.reason() })
            }
            "requires_action" | "requires_confirmation" => {
                Ok(Outcome::Declined { reason: Reason::from_foreign("authentication_required") })
            }
            "canceled" => Ok(failed("canceled")),
            "processing" => Err(Unknown::Processing),
            other => Err(Unknown::NotUnderstood(format!("status {other}"))),
        }
    }

    /// What became of a capture of `units`; `None` if nothing has yet.
    pub(super) fn capture(&self, units: i64) -> Option<Outcome> {
        match self.status.as_str() {
            "succeeded" if self.amount_received == units => {
                Some(Outcome::Succeeded { reference: self.id.clone() })
            }
            "succeeded" => Some(failed("captured-other-amount")),
            _ => None,
        }
    }

    /// What became of a void; `None` if nothing has yet.
    pub(super) fn void(&self) -> Option<Outcome> {
        match self.status.as_str() {
            "canceled" => Some(Outcome::Succeeded { reference: self.id.clone() }),
            "succeeded" => Some(failed("already-captured")),
            _ => None,
        }
    }

    pub(super) fn holds_money(&self) -> bool {
        matches!(self.status.as_str(), "requires_capture" | "succeeded")
    }
}

impl Refund {
    /// A refund that is pending is on its way; banks take days over it.
    pub(super) fn answer(&self) -> Result<Outcome, Unknown> {
        match self.status.as_str() {
            "succeeded" | "pending" => Ok(Outcome::Succeeded { reference: self.id.clone() }),
            "failed" => Ok(failed("refund-failed")),
            "canceled" => Ok(failed("refund-canceled")),
            other => Err(Unknown::NotUnderstood(format!("refund status {other}"))),
        }
    }

    pub(super) fn attempt(&self) -> Option<u32> {
        self.metadata.get("attempt")?.parse().ok()
    }
}

impl StripeError {
    /// Stripe's most exact word for it: `insufficient_funds` becomes `insufficient-funds`.
    fn reason(&self) -> Reason {
        let words = [self.decline_code.as_deref(), self.code.as_deref(), Some(&*self.kind)];
        Reason::from_foreign(words.into_iter().flatten().next().unwrap_or_default())
    }
}

impl From<StripeError> for Refused {
    fn from(error: StripeError) -> Self {
        let reason = error.reason();
        Self { card: error.kind == "card_error", code: error.code.unwrap_or_default(), reason }
    }
}

impl Refused {
    /// What a refused authorisation comes to.
    pub(super) fn answer(self) -> Outcome {
        match self.card {
            true => Outcome::Declined { reason: self.reason },
            false => self.failure(),
        }
    }

    /// What anything else that was refused comes to: only cards are declined.
    pub(super) fn failure(self) -> Outcome {
        Outcome::Failed { reason: self.reason }
    }
}
