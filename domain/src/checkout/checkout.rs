//! The saga that carries an order from placed to settled, and from shipped or cancelled to its end.
//!
//! What it hears of orders, stock and payment are facts, in whatever order they come. A fact that
//! changes nothing is known already, or no longer matters, and is not written again. What it wants
//! of them are its [`Request`]s, which `pending` derives from the state and nothing else.
//!
//! Two rules carry it. *Nothing is undone before its outcome is known:* a reservation or an
//! authorisation that was asked for stays owed until it is answered, whatever happened since. *The
//! order stream arbitrates:* nothing is released or voided before `checkout.order_cancelled`, and
//! nothing is shipped or captured before `checkout.order_shipped`.
//!
//! What no rule can settle needs a person's attention, and a person ends it: with a retry, by giving
//! the order up, or by settling by hand what is left. These three are the only commands that are ever
//! rejected. Attention ends with each of them, and begins again when something fails again.

use crate::ids::OrderId;
use crate::streams;
use crate::values::{Money, Operator, PaymentMethod, Quantity, Reason, Remark, Sku};
use decider::{Decider, Due, Owes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod facts;
mod hand;
mod pending;
mod work;

pub use pending::{CancelReason, Request};
pub use work::{Hold, Item, Pay, Stage, Work};

/// `checkout-5f0c1b7e-…`, by the id of the order that is checked out.
pub fn stream(order: OrderId) -> String {
    streams::name(Checkout::CATEGORY, order)
}

/// The inverse of [`stream`]; `None` for the name of another stream.
pub fn id_of(stream: &str) -> Option<OrderId> {
    streams::order_in(stream, Checkout::CATEGORY)
}

/// The first starts a checkout, the last three are a person's, and all others are facts: what happened
/// elsewhere, or passed. Start and facts are never rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    Start {
        order: OrderId,
        reservations: Vec<Reservation>,
        total: Money,
        payment_method: PaymentMethod,
        patience: Patience,
    },
    StockReserved {
        sku: Sku,
    },
    StockRefused {
        sku: Sku,
        reason: Reason,
    },
    StockReleased {
        sku: Sku,
    },
    StockShipped {
        sku: Sku,
    },
    PaymentAuthorised {},
    PaymentDeclined {
        reason: Reason,
    },
    /// The authorisation failed for good.
    PaymentFailed {
        reason: Reason,
    },
    PaymentCaptured {},
    CaptureFailed {
        reason: Reason,
    },
    PaymentVoided {},
    VoidFailed {
        reason: Reason,
    },
    PaymentRefunded {},
    RefundFailed {
        reason: Reason,
    },
    OrderConfirmed {},
    OrderCancelled {
        reason: Reason,
    },
    OrderShipped {},
    OrderClosed {},
    DeadlinePassed {
        deadline: Deadline,
    },
    /// The owner rejected a request for good, and it will not be made again.
    RequestRefused {
        key: String,
        problem: Reason,
    },
    /// What failed or was refused for good is asked for again, each under a key of its own, so that its
    /// owner takes it for a new request. What is still under way is left alone. The time to finish
    /// begins anew if it had passed.
    Retry {
        reason: Remark,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Operator>,
    },
    /// The order is given up. Its own stream is asked to cancel it, confirmed or not, and what is held
    /// for it is given back once it has. Rejected once the checkout has heard that the order is shipped
    /// or cancelled; if it is shipped at the same moment, the order's stream decides.
    Cancel {
        reason: Remark,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Operator>,
    },
    /// What failed, was refused for good or is late has been seen to elsewhere, and is owed no more.
    /// Nothing is said of money or stock: their streams stay as they are. What is still under way in
    /// its time goes on, an order that is shipped is closed, and with that the checkout is completed.
    Settle {
        reason: Remark,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Operator>,
    },
}

/// What an order needs of one SKU, summed over its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reservation {
    pub sku: Sku,
    pub quantity: Quantity,
}

/// How long the checkout waits, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Patience {
    /// From the start until the order has to be confirmed, or else it is cancelled.
    pub settle_s: u32,
    /// From the cancellation or the shipment until everything has to be done, or else a person is
    /// told.
    pub finish_s: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deadline {
    Settle,
    Finish,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Event {
    #[serde(rename = "checkout.started")]
    Started {
        order: OrderId,
        reservations: Vec<Reservation>,
        total: Money,
        payment_method: PaymentMethod,
        patience: Patience,
    },
    #[serde(rename = "checkout.stock_reserved")]
    StockReserved { sku: Sku },
    #[serde(rename = "checkout.stock_refused")]
    StockRefused { sku: Sku, reason: Reason },
    #[serde(rename = "checkout.stock_released")]
    StockReleased { sku: Sku },
    #[serde(rename = "checkout.stock_shipped")]
    StockShipped { sku: Sku },
    #[serde(rename = "checkout.payment_authorised")]
    PaymentAuthorised {},
    #[serde(rename = "checkout.payment_declined")]
    PaymentDeclined { reason: Reason },
    #[serde(rename = "checkout.payment_failed")]
    PaymentFailed { reason: Reason },
    #[serde(rename = "checkout.payment_captured")]
    PaymentCaptured {},
    #[serde(rename = "checkout.capture_failed")]
    CaptureFailed { reason: Reason },
    #[serde(rename = "checkout.payment_voided")]
    PaymentVoided {},
    #[serde(rename = "checkout.void_failed")]
    VoidFailed { reason: Reason },
    #[serde(rename = "checkout.payment_refunded")]
    PaymentRefunded {},
    #[serde(rename = "checkout.refund_failed")]
    RefundFailed { reason: Reason },
    #[serde(rename = "checkout.order_confirmed")]
    OrderConfirmed {},
    #[serde(rename = "checkout.order_cancelled")]
    OrderCancelled { reason: Reason },
    #[serde(rename = "checkout.order_shipped")]
    OrderShipped {},
    #[serde(rename = "checkout.order_closed")]
    OrderClosed {},
    #[serde(rename = "checkout.deadline_passed")]
    DeadlinePassed { deadline: Deadline },
    #[serde(rename = "checkout.request_refused")]
    RequestRefused { key: String, problem: Reason },
    /// What no rule can settle. The work that is left goes on.
    #[serde(rename = "checkout.needs_attention")]
    NeedsAttention { reason: Attention },
    /// A person had it asked for again. As with the next two, attention ends with it.
    #[serde(rename = "checkout.retried")]
    Retried {
        reason: Remark,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Operator")]
        by: Option<Operator>,
    },
    /// A person gave the order up. The order is cancelled when its own stream says so.
    #[serde(rename = "checkout.cancelled_by_hand")]
    CancelledByHand {
        reason: Remark,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Operator")]
        by: Option<Operator>,
    },
    /// A person saw to what was left, elsewhere.
    #[serde(rename = "checkout.settled_by_hand")]
    SettledByHand {
        reason: Remark,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Operator")]
        by: Option<Operator>,
    },
    /// Nothing is owed any more, and nothing is held but what a person has settled. The last event of
    /// the stream.
    #[serde(rename = "checkout.completed")]
    Completed {},
}

/// Why a person has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    CaptureFailed,
    VoidFailed,
    RefundFailed,
    RequestRefused,
    /// The deadline to finish has passed.
    Unfinished,
}

impl decider::Event for Event {
    const TYPES: &'static [(&'static str, i32)] = &[
        ("checkout.started", 1),
        ("checkout.stock_reserved", 1),
        ("checkout.stock_refused", 1),
        ("checkout.stock_released", 1),
        ("checkout.stock_shipped", 1),
        ("checkout.payment_authorised", 1),
        ("checkout.payment_declined", 1),
        ("checkout.payment_failed", 1),
        ("checkout.payment_captured", 1),
        ("checkout.capture_failed", 1),
        ("checkout.payment_voided", 1),
        ("checkout.void_failed", 1),
        ("checkout.payment_refunded", 1),
        ("checkout.refund_failed", 1),
        ("checkout.order_confirmed", 1),
        ("checkout.order_cancelled", 1),
        ("checkout.order_shipped", 1),
        ("checkout.order_closed", 1),
        ("checkout.deadline_passed", 1),
        ("checkout.request_refused", 1),
        ("checkout.needs_attention", 1),
        ("checkout.retried", 1),
        ("checkout.cancelled_by_hand", 1),
        ("checkout.settled_by_hand", 1),
        ("checkout.completed", 1),
    ];
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    NotStarted,
    Open(Work),
    Completed,
}

/// Why a person's command is not done. Nothing else is ever rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("no checkout has started for this order")]
    NotStarted,
    #[error("the checkout is completed")]
    Completed,
    #[error("the checkout needs no attention")]
    NoAttention,
    #[error("the order is shipped and can no longer be cancelled: retry what failed, or settle it")]
    AlreadyShipped,
    #[error("the order is cancelled already: retry what failed, or settle it")]
    Cancelled,
    #[error("the order is neither shipped nor cancelled: retry what failed, or cancel it")]
    NotEnded,
}

impl Rejection {
    /// The last part of the problem's type.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::NotStarted => "not-started",
            Self::Completed => "completed",
            Self::NoAttention => "no-attention",
            Self::AlreadyShipped => "already-shipped",
            Self::Cancelled => "cancelled",
            Self::NotEnded => "not-ended",
        }
    }
}

/// The decider of one order's checkout. It owes [`Request`]s to the other services.
pub struct Checkout;

impl Decider for Checkout {
    const CATEGORY: &'static str = "checkout";
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Start { .. })
    }

    fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
        hand::allowed(state, command)?;
        Ok(facts::decide(state, command))
    }

    fn evolve(state: State, event: &Event) -> State {
        work::evolve(state, event)
    }
}

impl Owes for Checkout {
    type Request = Request;

    fn pending(state: &State) -> Vec<Due<Request>> {
        match state {
            State::NotStarted | State::Completed => vec![],
            State::Open(work) => pending::pending(work),
        }
    }
}

#[cfg(test)]
mod tests;
