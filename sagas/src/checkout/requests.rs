use async_trait::async_trait;
use domain::checkout::checkout::{self, CancelReason, Checkout, Command, Request};
use domain::ids::OrderId;
use domain::inventory::stock;
use domain::orders::order;
use domain::payments::payment;
use domain::values::Reason;
use event_store::Transactor;
use event_store::dues::{Asked, Claimed, Settle};

use super::Services;
use crate::envelope;
use crate::port::{self, Refusal};

/// Asks the owners for what a checkout owes. A request is accepted, put off, or rejected for good; the
/// last is recorded in the checkout, which then needs attention.
pub(super) struct Requests {
    pub(super) services: Services,
    pub(super) checkout: Transactor<Checkout>,
}

#[async_trait]
impl Settle<Checkout> for Requests {
    async fn settle(&self, due: Claimed<Request>) -> Asked {
        let Some(order) = checkout::id_of(&due.stream) else {
            return Asked::Again(format!("{} names no checkout", due.stream));
        };
        match self.ask(order, &due).await {
            Ok(()) => Asked::Yes,
            Err(Refusal::Later(why)) => Asked::Again(why),
            Err(Refusal::ForGood(slug)) => self.record(&due, &slug).await,
        }
    }
}

impl Requests {
    async fn ask(&self, order: OrderId, due: &Claimed<Request>) -> Result<(), Refusal> {
        match &due.request {
            Request::Reserve { sku, quantity } => {
                let command = stock::Command::Reserve { order, quantity: *quantity };
                self.ask_stock(&stock::stream(sku), command, due).await
            }
            Request::Release { sku } => {
                self.ask_stock(&stock::stream(sku), stock::Command::Release { order }, due).await
            }
            Request::ShipStock { sku } => {
                self.ask_stock(&stock::stream(sku), stock::Command::Ship { order }, due).await
            }
            Request::Authorise { amount, method } => {
                let command =
                    payment::Command::Authorise { amount: *amount, method: method.clone() };
                self.ask_payment(order, command, due).await
            }
            Request::Capture { amount } => {
                self.ask_payment(order, payment::Command::Capture { amount: *amount }, due).await
            }
            Request::Void {} => self.ask_payment(order, payment::Command::Void {}, due).await,
            Request::Refund { amount } => {
                let command = payment::Command::Refund { amount: Some(*amount) };
                self.ask_payment(order, command, due).await
            }
            Request::ConfirmOrder {} => {
                self.ask_order(order, order::Command::Confirm {}, due).await
            }
            Request::CancelOrder { reason } => {
                let command = order::Command::Cancel { reason: orders_word(*reason) };
                self.ask_order(order, command, due).await
            }
            Request::CloseOrder {} => self.ask_order(order, order::Command::Close {}, due).await,
            Request::Deadline { deadline } => {
                let command = Command::DeadlinePassed { deadline: *deadline };
                let asked = (&*due.stream, command, due);
                port::ask_here(&self.checkout, asked, checkout::Rejection::slug).await
            }
        }
    }

    async fn ask_stock(
        &self,
        stream: &str,
        command: stock::Command,
        due: &Claimed<Request>,
    ) -> Result<(), Refusal> {
        self.services.stock.ask((stream, command, due), stock::Rejection::slug).await
    }

    async fn ask_order(
        &self,
        order: OrderId,
        command: order::Command,
        due: &Claimed<Request>,
    ) -> Result<(), Refusal> {
        let stream = order::stream(order);
        self.services.order.ask((&*stream, command, due), order::Rejection::slug).await
    }

    async fn ask_payment(
        &self,
        order: OrderId,
        command: payment::Command,
        due: &Claimed<Request>,
    ) -> Result<(), Refusal> {
        let stream = payment::stream(order);
        let payment = &self.services.payment;
        let asked = payment.ask((&*stream, command, due), payment::Rejection::slug).await;
        asked.map_err(|refusal| match refusal {
            // The provider has still to answer what was asked before; then this may be asked again.
            Refusal::ForGood(slug) if slug == payment::Rejection::InProgress.slug() => {
                Refusal::Later(payment::Rejection::InProgress.to_string())
            }
            other @ (Refusal::Later(_) | Refusal::ForGood(_)) => other,
        })
    }

    async fn record(&self, due: &Claimed<Request>, slug: &str) -> Asked {
        tracing::warn!(stream = due.stream, key = due.key, slug, "a request was refused for good");
        let (key, problem) = (due.key.clone(), Reason::from_foreign(slug));
        let command = Command::RequestRefused { key, problem };
        let envelope = envelope::of_refusal(due);
        match self.checkout.transact(&due.stream, command, envelope).await {
            Ok(_) => Asked::Yes,
            Err(error) => Asked::Again(error.to_string()),
        }
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
