//! The money of one order at the payment provider. The intent is written first
//! (`payment.capture_requested`), then the provider is called, then its answer is written; so no
//! crash can lose or repeat a charge. An unknown outcome is no answer: the call is made again with
//! the same key until there is one.

use crate::ids::OrderId;
use crate::streams;
use crate::values::{Currency, Money, PaymentMethod, Reason};
use decider::{Decider, Due, Owes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod decide;
mod evolve;

/// `payment-5f0c1b7e-…`, by the id of the order that is paid.
pub fn stream(order: OrderId) -> String {
    streams::name(Payment::CATEGORY, order)
}

/// The inverse of [`stream`]; `None` for the name of another stream.
pub fn id_of(stream: &str) -> Option<OrderId> {
    streams::order_in(stream, Payment::CATEGORY)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Holds the amount on the customer's account. Once per payment.
    Authorise { amount: Money, method: PaymentMethod },
    /// Takes what is held; the whole of it for now.
    Capture { amount: Money },
    /// Lets go of what is held.
    Void {},
    /// Gives back what was taken. No amount means all that is left, and for now it has to be all.
    Refund {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Money>,
    },
    /// What the provider said for good. A time-out or a 5xx is not an answer. Never rejected.
    Answer { operation: Operation, attempt: u32, outcome: Outcome },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    Authorisation,
    Capture,
    Void,
    Refund,
}

impl Operation {
    /// The verb, as in the keys of [`Call`]s: `authorise`, `capture`, `void`, `refund`.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Authorisation => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// The reference is the provider's id of what was made.
    Succeeded { reference: String },
    /// The bank said no. Only an authorisation is declined; elsewhere it counts as failed.
    Declined { reason: Reason },
    /// The provider said that it cannot be done, now or later.
    Failed { reason: Reason },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Event {
    #[serde(rename = "payment.authorisation_requested")]
    AuthorisationRequested { attempt: u32, amount: Money, method: PaymentMethod },
    #[serde(rename = "payment.authorised")]
    Authorised { attempt: u32, amount: Money, reference: String },
    #[serde(rename = "payment.declined")]
    Declined { attempt: u32, reason: Reason },
    #[serde(rename = "payment.authorisation_failed")]
    AuthorisationFailed { attempt: u32, reason: Reason },
    #[serde(rename = "payment.capture_requested")]
    CaptureRequested { attempt: u32, amount: Money },
    #[serde(rename = "payment.captured")]
    Captured { attempt: u32, amount: Money },
    #[serde(rename = "payment.capture_failed")]
    CaptureFailed { attempt: u32, reason: Reason },
    #[serde(rename = "payment.void_requested")]
    VoidRequested { attempt: u32 },
    #[serde(rename = "payment.voided")]
    Voided { attempt: u32 },
    #[serde(rename = "payment.void_failed")]
    VoidFailed { attempt: u32, reason: Reason },
    #[serde(rename = "payment.refund_requested")]
    RefundRequested { attempt: u32, amount: Money },
    #[serde(rename = "payment.refunded")]
    Refunded { attempt: u32, amount: Money, reference: String },
    #[serde(rename = "payment.refund_failed")]
    RefundFailed { attempt: u32, reason: Reason },
}

impl decider::Event for Event {
    const TYPES: &'static [(&'static str, i32)] = &[
        ("payment.authorisation_requested", 1),
        ("payment.authorised", 1),
        ("payment.declined", 1),
        ("payment.authorisation_failed", 1),
        ("payment.capture_requested", 1),
        ("payment.captured", 1),
        ("payment.capture_failed", 1),
        ("payment.void_requested", 1),
        ("payment.voided", 1),
        ("payment.void_failed", 1),
        ("payment.refund_requested", 1),
        ("payment.refunded", 1),
        ("payment.refund_failed", 1),
    ];
}

/// At most one operation is under way at a time, because its outcome decides what may come next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Unrequested,
    Authorising {
        attempt: u32,
        amount: Money,
        method: PaymentMethod,
    },
    /// Declined, or failed for good: nothing is held.
    NotAuthorised {
        amount: Money,
        method: PaymentMethod,
    },
    Authorised(Held),
    Capturing {
        held: Held,
        attempt: u32,
        amount: Money,
    },
    Voiding {
        held: Held,
        attempt: u32,
    },
    Voided,
    Captured(Taken),
    Refunding {
        taken: Taken,
        attempt: u32,
        amount: Money,
    },
}

/// Money that is held, and how often something was tried with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub authorised: Money,
    pub reference: String,
    pub captures: u32,
    pub voids: u32,
}

/// Money that was taken. `refunded ≤ captured ≤ authorised`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub authorised: Money,
    pub captured: Money,
    pub refunded: Money,
    pub reference: String,
    pub refunds: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("nothing is authorised")]
    NotAuthorised,
    #[error("the payment is captured already")]
    AlreadyCaptured,
    #[error("the authorisation was voided")]
    Voided,
    #[error("nothing is captured")]
    NotCaptured,
    #[error("everything that was captured is refunded already")]
    NothingLeft,
    #[error("the provider has not yet answered what was asked before")]
    InProgress,
    #[error("only the whole amount, {whole}, can be captured or refunded")]
    PartialNotSupported { whole: Money },
    #[error("the payment is in {currency}")]
    OtherCurrency { currency: Currency },
    #[error("the payment is over {amount}")]
    OtherAmount { amount: Money },
    #[error("the payment was asked for with another method")]
    OtherMethod,
    #[error("there is nothing to pay")]
    ZeroAmount,
}

impl Rejection {
    /// The last part of the problem's type.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::NotAuthorised => "not-authorised",
            Self::AlreadyCaptured => "already-captured",
            Self::Voided => "voided",
            Self::NotCaptured => "not-captured",
            Self::NothingLeft => "nothing-left",
            Self::InProgress => "in-progress",
            Self::PartialNotSupported { .. } => "partial-not-supported",
            Self::OtherCurrency { .. } => "other-currency",
            Self::OtherAmount { .. } => "other-amount",
            Self::OtherMethod => "other-method",
            Self::ZeroAmount => "zero-amount",
        }
    }
}

/// A call to the provider that is owed. It is made again until it is answered, with the same key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub operation: Operation,
    pub attempt: u32,
    /// What to hold, take or give back; nothing for a void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Only for an authorisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<PaymentMethod>,
    /// The provider's id of the authorisation; nothing while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Call {
    /// `capture:1`: unique in the stream's life, because an attempt is never numbered twice.
    pub fn key(&self) -> String {
        format!("{}:{}", self.operation.verb(), self.attempt)
    }
}

/// The decider of one order's payment. It owes [`Call`]s to the provider.
pub struct Payment;

impl Decider for Payment {
    const CATEGORY: &'static str = "payment";
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Authorise { .. })
    }

    fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Authorise { amount, method } => decide::authorise(state, *amount, method),
            Command::Capture { amount } => decide::capture(state, *amount),
            Command::Void {} => decide::void(state),
            Command::Refund { amount } => decide::refund(state, *amount),
            Command::Answer { operation, attempt, outcome } => {
                Ok(decide::answer(state, *operation, *attempt, outcome))
            }
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        evolve::evolve(state, event)
    }
}

impl Owes for Payment {
    type Request = Call;

    fn pending(state: &State) -> Vec<Due<Call>> {
        let call = match state {
            State::Unrequested
            | State::NotAuthorised { .. }
            | State::Authorised(_)
            | State::Voided
            | State::Captured(_) => return vec![],
            State::Authorising { attempt, amount, method } => Call {
                operation: Operation::Authorisation,
                attempt: *attempt,
                amount: Some(*amount),
                method: Some(method.clone()),
                reference: None,
            },
            State::Capturing { held, attempt, amount } => {
                about(Operation::Capture, *attempt, Some(*amount), &held.reference)
            }
            State::Voiding { held, attempt } => {
                about(Operation::Void, *attempt, None, &held.reference)
            }
            State::Refunding { taken, attempt, amount } => {
                about(Operation::Refund, *attempt, Some(*amount), &taken.reference)
            }
        };
        vec![Due { key: call.key(), delay: std::time::Duration::ZERO, request: call }]
    }
}

/// A call about an authorisation that the provider knows.
fn about(operation: Operation, attempt: u32, amount: Option<Money>, reference: &str) -> Call {
    Call { operation, attempt, amount, method: None, reference: Some(reference.to_owned()) }
}

#[cfg(test)]
mod tests;
