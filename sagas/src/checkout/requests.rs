use async_trait::async_trait;
use decider::Decider;
use domain::checkout::checkout::{self, CancelReason, Checkout, Command, Request};
use domain::ids::OrderId;
use domain::inventory::stock::{self, Stock};
use domain::orders::order::{self, Order};
use domain::payments::payment::{self, Payment};
use domain::values::Reason;
use event_store::dues::{Asked, Claimed, Settle};
use event_store::{TransactError, Transactor};

use super::Services;
use crate::envelope;

/// Asks the owners for what a checkout owes. A request is accepted, put off, or rejected for good; the
/// last is recorded in the checkout, which then needs attention.
pub(super) struct Requests {
    pub(super) services: Services,
    pub(super) checkout: Transactor<Checkout>,
}

/// Why a request was not accepted.
enum Refusal {
    Later(String),
    /// By the owner, for the reason with this slug.
    ForGood(&'static str),
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
            Err(Refusal::ForGood(slug)) => self.record(&due, slug).await,
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
                let asked = ask(&self.checkout, &due.stream, command, due).await?;
                asked.map_err(|rejection| Refusal::ForGood(rejection.slug()))
            }
        }
    }

    async fn ask_stock(
        &self,
        stream: &str,
        command: stock::Command,
        due: &Claimed<Request>,
    ) -> Result<(), Refusal> {
        let asked = ask::<Stock>(&self.services.stock, stream, command, due).await?;
        asked.map_err(|rejection| Refusal::ForGood(rejection.slug()))
    }

    async fn ask_order(
        &self,
        order: OrderId,
        command: order::Command,
        due: &Claimed<Request>,
    ) -> Result<(), Refusal> {
        let stream = order::stream(order);
        let asked = ask::<Order>(&self.services.order, &stream, command, due).await?;
        asked.map_err(|rejection| Refusal::ForGood(rejection.slug()))
    }

    async fn ask_payment(
        &self,
        order: OrderId,
        command: payment::Command,
        due: &Claimed<Request>,
    ) -> Result<(), Refusal> {
        let stream = payment::stream(order);
        let asked = ask::<Payment>(&self.services.payment, &stream, command, due).await?;
        asked.map_err(|rejection| {
            // The provider has still to answer what was asked before; then this may be asked again.
            if rejection == payment::Rejection::InProgress {
                Refusal::Later(rejection.to_string())
            } else {
                Refusal::ForGood(rejection.slug())
            }
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

/// Sends a command to its owner: accepted, rejected by the decider, or put off because nobody knows.
async fn ask<D: Decider>(
    owner: &Transactor<D>,
    stream: &str,
    command: D::Command,
    due: &Claimed<Request>,
) -> Result<Result<(), D::Rejection>, Refusal> {
    match owner.transact(stream, command, envelope::of_request(due)).await {
        Ok(_) => Ok(Ok(())),
        Err(TransactError::Rejected { rejection, .. }) => Ok(Err(rejection)),
        Err(TransactError::TooLarge { .. }) => Err(Refusal::ForGood("too-large")),
        Err(
            error @ (TransactError::Busy
            | TransactError::OutcomeUnknown
            | TransactError::OtherBody
            | TransactError::WrongVersion { .. }
            | TransactError::Data(_)
            | TransactError::Newer { .. }
            | TransactError::Store(_)),
        ) => Err(Refusal::Later(error.to_string())),
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
