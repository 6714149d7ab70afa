use async_trait::async_trait;
use domain::checkout::checkout::{self, Checkout, Command, Request};
use domain::ids::OrderId;
use domain::inventory::stock;
use domain::orders::order;
use domain::payments::payment;
use domain::values::Reason;
use event_store::Transactor;
use event_store::dues::{Asked, Claimed, Settle};

use super::Services;
use super::ask::{self, Ask};
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
        let Services { stock, order: orders, payment } = &self.services;
        match Ask::of(order, &due.request) {
            Ask::Stock(stream, command) => {
                stock.ask((&*stream, command, due), stock::Rejection::slug).await
            }
            Ask::Order(stream, command) => {
                orders.ask((&*stream, command, due), order::Rejection::slug).await
            }
            Ask::Payment(stream, command) => {
                let asked = payment.ask((&*stream, command, due), payment::Rejection::slug).await;
                asked.map_err(ask::of_payment)
            }
            Ask::Itself(command) => {
                let asked = (&*due.stream, command, due);
                port::ask_here(&self.checkout, asked, checkout::Rejection::slug).await
            }
        }
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
