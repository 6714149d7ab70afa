//! What a test payment method does.

use serde_json::{Value, json};

/// How requests about a payment method go.
///
/// | payment method | what it does |
/// |---|---|
/// | `pm_card_visa`, `pm_card_mastercard`, `pm_card_amex`, … | works |
/// | `pm_card_visa_chargeDeclined…`, `pm_card_chargeDeclined…`, `pm_card_radarBlock`, … | is declined, as at Stripe |
/// | `pm_sandbox_slow` | works, and answers late (`delay_ms` of the behaviour) |
/// | `pm_sandbox_error` | the first two requests with a key end in 500 and do nothing |
/// | `pm_sandbox_lost` | works, but the line is cut before the first answer; a repeat is told |
/// | `pm_sandbox_error_kept` | works, but the answer is a 500, now and under that key for ever: only a look-up tells |
/// | `pm_sandbox_capture_fails` | is authorised, and has expired by the time it is captured |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Character {
    Works,
    Declines(Decline),
    Slow,
    ErrorsFirst,
    AnswerLost,
    ErrorKept,
    CaptureFails,
}

/// Stripe's code and decline code of a card error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decline {
    pub code: &'static str,
    pub decline_code: &'static str,
}

impl Character {
    /// How often [`Character::ErrorsFirst`] fails under one key before it works.
    pub const ERRORS: u32 = 2;

    /// None for a payment method that nobody has heard of.
    pub fn of(method: &str) -> Option<Self> {
        match method {
            "pm_sandbox_slow" => return Some(Self::Slow),
            "pm_sandbox_error" => return Some(Self::ErrorsFirst),
            "pm_sandbox_lost" => return Some(Self::AnswerLost),
            "pm_sandbox_error_kept" => return Some(Self::ErrorKept),
            "pm_sandbox_capture_fails" => return Some(Self::CaptureFails),
            _ => {}
        }
        let card = method.strip_prefix("pm_card_")?;
        let card = match card.split_once('_') {
            Some(("visa" | "mastercard" | "amex", rest)) if rest.starts_with("charge") => rest,
            Some(_) | None => card,
        };
        let (code, decline_code) = match card {
            "visa" | "visa_debit" | "mastercard" | "mastercard_debit" | "mastercard_prepaid"
            | "amex" | "discover" | "diners" | "jcb" | "unionpay" => return Some(Self::Works),
            "chargeDeclined" | "chargeCustomerFail" => ("card_declined", "generic_decline"),
            "chargeDeclinedInsufficientFunds" => ("card_declined", "insufficient_funds"),
            "chargeDeclinedLostCard" => ("card_declined", "lost_card"),
            "chargeDeclinedStolenCard" => ("card_declined", "stolen_card"),
            "chargeDeclinedFraudulent" | "radarBlock" => ("card_declined", "fraudulent"),
            "chargeDeclinedVelocityLimitExceeded" => ("card_declined", "card_velocity_exceeded"),
            "chargeDeclinedExpiredCard" => ("expired_card", "expired_card"),
            "chargeDeclinedIncorrectCvc" => ("incorrect_cvc", "incorrect_cvc"),
            "chargeDeclinedProcessingError" => ("processing_error", "processing_error"),
            "authenticationRequired" => ("authentication_required", "authentication_required"),
            _ => return None,
        };
        Some(Self::Declines(Decline { code, decline_code }))
    }
}

impl Decline {
    /// Stripe's card error.
    pub(super) fn error(&self) -> Value {
        json!({
            "type": "card_error",
            "code": self.code,
            "decline_code": self.decline_code,
            "message": "Your card was declined.",
        })
    }
}
