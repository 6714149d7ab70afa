//! The four requests that change something, and what each does to the ledger.

use axum::http::StatusCode;
use serde_json::Value;

use super::character::Character;
use super::fault::Fault;
use super::ledger::{Fact, Ledger};
use super::params::Params;
use super::{cancel, capture, create, refund};

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Create,
    Capture { intent: String },
    Cancel { intent: String },
    Refund,
}

/// What a request comes to: facts for the book, and what the answer shows once they are posted.
pub(super) struct Act {
    pub(super) facts: Vec<Fact>,
    pub(super) shows: Shows,
}

pub(super) enum Shows {
    Intent(String),
    Refund(String),
    /// An error that comes with the intent as it is afterwards.
    Failure {
        intent: String,
        failure: fn(&Ledger, &str) -> Fault,
    },
}

impl Operation {
    pub(super) fn path(&self) -> String {
        match self {
            Self::Create => "/v1/payment_intents".to_owned(),
            Self::Capture { intent } => format!("/v1/payment_intents/{intent}/capture"),
            Self::Cancel { intent } => format!("/v1/payment_intents/{intent}/cancel"),
            Self::Refund => "/v1/refunds".to_owned(),
        }
    }

    /// The character of the payment method that this request is about.
    pub(super) fn character(&self, ledger: &Ledger, params: &Params) -> Option<Character> {
        match self {
            Self::Create => params.text("payment_method").and_then(Character::of),
            Self::Capture { intent } | Self::Cancel { intent } => {
                ledger.intent(intent)?.character()
            }
            Self::Refund => ledger.intent(params.text("payment_intent")?)?.character(),
        }
    }

    pub(super) fn decide(&self, ledger: &Ledger, params: &Params) -> Result<Act, Fault> {
        match self {
            Self::Create => create::decide(params),
            Self::Capture { intent } => capture::decide(ledger, intent, params),
            Self::Cancel { intent } => cancel::decide(ledger, intent, params),
            Self::Refund => refund::decide(ledger, params),
        }
    }
}

impl Shows {
    pub(super) fn answer(&self, ledger: &Ledger) -> (StatusCode, Value) {
        match self {
            Self::Intent(id) => {
                (StatusCode::OK, ledger.intent(id).map_or(Value::Null, |intent| intent.json()))
            }
            Self::Refund(id) => {
                let made = ledger.refunds.iter().rev().find(|refund| refund.id == *id);
                (StatusCode::OK, made.map_or(Value::Null, |refund| refund.json()))
            }
            Self::Failure { intent, failure } => {
                let fault = failure(ledger, intent);
                (fault.status, fault.body())
            }
        }
    }
}

/// `prefix_` and a fresh id, as Stripe's ids look.
pub(super) fn mint(prefix: &str) -> String {
    format!("{prefix}_{}", edge::ids::mint().simple())
}
