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

use crate::ids::OrderId;
use crate::streams;
use crate::values::{Money, PaymentMethod, Quantity, Reason, Sku};
use decider::{Decider, Due, Owes};
use serde::{Deserialize, Serialize};

mod facts;
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

/// All but the first are facts, and none is ever rejected.
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
}

/// What an order needs of one SKU, summed over its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub sku: Sku,
    pub quantity: Quantity,
}

/// How long the checkout waits, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// From the start until the order has to be confirmed, or else it is cancelled.
    pub settle_s: u32,
    /// From the cancellation or the shipment until everything has to be done, or else a person is
    /// told.
    pub finish_s: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deadline {
    Settle,
    Finish,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Nothing is owed and nothing is held any more. The last event of the stream.
    #[serde(rename = "checkout.completed")]
    Completed {},
}

/// Why a person has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The checkout takes every command, so there is nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {}

impl Rejection {
    /// The last part of the problem's type.
    pub fn slug(&self) -> &'static str {
        match *self {}
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

    fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
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
