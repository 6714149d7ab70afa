//! What an open checkout owes, derived from what it knows.

use super::Deadline;
use super::work::{Hold, Item, Pay, Stage, Work};
use crate::values::{Money, PaymentMethod, Quantity, Sku};
use decider::Due;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the checkout asks of the owners of stock, payment and order, about its own order. The last is
/// a promise to itself: to take [`super::Command::DeadlinePassed`] when the time has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    Reserve { sku: Sku, quantity: Quantity },
    Release { sku: Sku },
    ShipStock { sku: Sku },
    Authorise { amount: Money, method: PaymentMethod },
    Capture { amount: Money },
    Void {},
    Refund { amount: Money },
    ConfirmOrder {},
    CancelOrder { reason: CancelReason },
    CloseOrder {},
    Deadline { deadline: Deadline },
}

impl Request {
    /// What it asks for, in a word: `reserve:85123A`. It is the due's key at the first try; the second one
    /// is `reserve:85123A:2`, so that each key is owed at most once in a checkout's life.
    pub fn name(&self) -> String {
        match self {
            Self::Reserve { sku, .. } => format!("reserve:{sku}"),
            Self::Release { sku } => format!("release:{sku}"),
            Self::ShipStock { sku } => format!("ship:{sku}"),
            Self::Authorise { .. } => "authorise".to_owned(),
            Self::Capture { .. } => "capture".to_owned(),
            Self::Void {} => "void".to_owned(),
            Self::Refund { .. } => "refund".to_owned(),
            Self::ConfirmOrder {} => "confirm".to_owned(),
            Self::CancelOrder { .. } => "cancel".to_owned(),
            Self::CloseOrder {} => "close".to_owned(),
            Self::Deadline { deadline: Deadline::Settle } => "deadline:settle".to_owned(),
            Self::Deadline { deadline: Deadline::Finish } => "deadline:finish".to_owned(),
        }
    }
}

/// Why the checkout cannot let an order stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelReason {
    OutOfStock,
    PaymentDeclined,
    PaymentFailed,
    CheckoutTimeout,
    /// A person gave it up.
    ByHand,
}

pub(super) fn pending(work: &Work) -> Vec<Due<Request>> {
    wanted(work)
        .filter(|request| !work.refused.contains(&request.name()))
        .map(|request| Due { key: work.key(&request), delay: delay(work, &request), request })
        .collect()
}

/// What is to be done, also what its owner has refused to do.
pub(super) fn wanted(work: &Work) -> impl Iterator<Item = Request> {
    let stock = work.items.iter().filter_map(|(sku, item)| about_stock(work.fate(), sku, item));
    let deadline = deadline(work).map(|deadline| Request::Deadline { deadline });
    stock.chain(about_payment(work)).chain(about_order(work)).chain(deadline)
}

/// What is to become of the stock and the money that are held.
#[derive(Clone, Copy)]
enum Fate {
    /// The order may still be confirmed or wait for its shipment.
    Keep,
    GiveBack,
    HandOver,
}

impl Work {
    fn fate(&self) -> Fate {
        match self.stage {
            Stage::Settling | Stage::Failing { .. } | Stage::Confirmed | Stage::Settled => {
                Fate::Keep
            }
            Stage::Cancelled => Fate::GiveBack,
            Stage::Shipped | Stage::Closed => Fate::HandOver,
        }
    }
}

fn about_stock(fate: Fate, sku: &Sku, item: &Item) -> Option<Request> {
    let sku = || sku.clone();
    match (item.hold, fate) {
        // Whatever became of the order: what was asked for has to be known before it is undone.
        (Hold::Asked, Fate::Keep | Fate::GiveBack | Fate::HandOver) => {
            Some(Request::Reserve { sku: sku(), quantity: item.quantity })
        }
        (Hold::Reserved, Fate::GiveBack) => Some(Request::Release { sku: sku() }),
        (Hold::Reserved, Fate::HandOver) => Some(Request::ShipStock { sku: sku() }),
        (Hold::Reserved, Fate::Keep)
        | (
            Hold::Refused | Hold::Released | Hold::Shipped | Hold::Settled,
            Fate::Keep | Fate::GiveBack | Fate::HandOver,
        ) => None,
    }
}

fn about_payment(work: &Work) -> Option<Request> {
    match (work.payment, work.fate()) {
        (Pay::Asked, Fate::Keep | Fate::GiveBack | Fate::HandOver) => {
            Some(Request::Authorise { amount: work.total, method: work.payment_method.clone() })
        }
        (Pay::Authorised | Pay::CaptureFailed, Fate::GiveBack) => Some(Request::Void {}),
        (Pay::Authorised, Fate::HandOver) => Some(Request::Capture { amount: work.total }),
        (Pay::Captured, Fate::GiveBack) => Some(Request::Refund { amount: work.total }),
        (Pay::Authorised, Fate::Keep)
        | (Pay::Captured | Pay::CaptureFailed, Fate::Keep | Fate::HandOver)
        | (
            Pay::NotNeeded
            | Pay::NotAsked
            | Pay::Refused
            | Pay::Voided
            | Pay::VoidFailed
            | Pay::Refunded
            | Pay::RefundFailed
            | Pay::Settled,
            Fate::Keep | Fate::GiveBack | Fate::HandOver,
        ) => None,
    }
}

fn about_order(work: &Work) -> Option<Request> {
    match work.stage {
        Stage::Settling => work.is_ready().then_some(Request::ConfirmOrder {}),
        Stage::Failing { reason } => Some(Request::CancelOrder { reason }),
        Stage::Shipped => work.is_delivered().then_some(Request::CloseOrder {}),
        Stage::Confirmed | Stage::Cancelled | Stage::Closed | Stage::Settled => None,
    }
}

fn deadline(work: &Work) -> Option<Deadline> {
    match work.stage {
        Stage::Settling => Some(Deadline::Settle),
        Stage::Cancelled | Stage::Shipped | Stage::Closed => {
            (!work.overdue).then_some(Deadline::Finish)
        }
        Stage::Failing { .. } | Stage::Confirmed | Stage::Settled => None,
    }
}

fn delay(work: &Work, request: &Request) -> Duration {
    let seconds = match request {
        Request::Deadline { deadline: Deadline::Settle } => work.patience.settle_s,
        Request::Deadline { deadline: Deadline::Finish } => work.patience.finish_s,
        Request::Reserve { .. }
        | Request::Release { .. }
        | Request::ShipStock { .. }
        | Request::Authorise { .. }
        | Request::Capture { .. }
        | Request::Void {}
        | Request::Refund { .. }
        | Request::ConfirmOrder {}
        | Request::CancelOrder { .. }
        | Request::CloseOrder {} => 0,
    };
    Duration::from_secs(u64::from(seconds))
}
