//! What a request is to whoever does it: a pure function, of which the owners have a record
//! (`docs/contracts/consumers`).

use domain::checkout::checkout::{CancelReason, Command, Request};
use domain::ids::OrderId;
use domain::inventory::stock;
use domain::orders::order;
use domain::payments::payment;

use crate::port::Refusal;

/// A command for one of its owner's streams, or for the checkout itself.
pub(super) enum Ask {
    Stock(String, stock::Command),
    Order(String, order::Command),
    Payment(String, payment::Command),
    Itself(Command),
}

impl Ask {
    pub(super) fn of(order: OrderId, request: &Request) -> Self {
        let of_order = |command| Self::Order(order::stream(order), command);
        let of_payment = |command| Self::Payment(payment::stream(order), command);
        match request {
            Request::Reserve { sku, quantity } => {
                let command = stock::Command::Reserve { order, quantity: *quantity };
                Self::Stock(stock::stream(sku), command)
            }
            Request::Release { sku } => {
                Self::Stock(stock::stream(sku), stock::Command::Release { order })
            }
            Request::ShipStock { sku } => {
                Self::Stock(stock::stream(sku), stock::Command::Ship { order })
            }
            Request::Authorise { amount, method } => {
                of_payment(payment::Command::Authorise { amount: *amount, method: method.clone() })
            }
            Request::Capture { amount } => {
                of_payment(payment::Command::Capture { amount: *amount })
            }
            Request::Void {} => of_payment(payment::Command::Void {}),
            Request::Refund { amount } => {
                of_payment(payment::Command::Refund { amount: Some(*amount) })
            }
            Request::ConfirmOrder {} => of_order(order::Command::Confirm {}),
            Request::CancelOrder { reason } => {
                of_order(order::Command::Cancel { reason: orders_word(*reason) })
            }
            Request::CloseOrder {} => of_order(order::Command::Close {}),
            Request::Deadline { deadline } => {
                Self::Itself(Command::DeadlinePassed { deadline: *deadline })
            }
        }
    }
}

/// What a payment's refusal means: the provider may have still to answer what was asked before, and then
/// this is asked again.
pub(super) fn of_payment(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::ForGood(slug) if slug == payment::Rejection::InProgress.slug() => {
            Refusal::Later(payment::Rejection::InProgress.to_string())
        }
        other @ (Refusal::Later(_) | Refusal::ForGood(_)) => other,
    }
}

/// The checkout's reason in the order's own words.
fn orders_word(reason: CancelReason) -> order::CancelReason {
    match reason {
        CancelReason::OutOfStock => order::CancelReason::OutOfStock,
        CancelReason::PaymentDeclined => order::CancelReason::PaymentDeclined,
        CancelReason::PaymentFailed => order::CancelReason::PaymentFailed,
        CancelReason::CheckoutTimeout => order::CancelReason::CheckoutTimeout,
        // Not one of the checkout's own, which an order that is confirmed would pass over.
        CancelReason::ByHand => order::CancelReason::MerchantRequest,
    }
}
