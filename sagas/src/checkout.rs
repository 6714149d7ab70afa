//! The checkout in motion. Its [`Reactor`] tells it what happened to order, stock and payment; its
//! requests ask their owners for what it owes.

mod reactor;
mod orders;
mod inventory;
mod payments;
mod ask;
mod requests;
#[cfg(test)]
mod contracts;

use std::sync::Arc;

use domain::checkout::checkout::{Checkout, Patience};
use domain::inventory::stock::Stock;
use domain::orders::order::Order;
use domain::payments::payment::Payment;
use event_store::Transactor;
use event_store::dues::DueLimits;
use event_store::follow::ReadSide;

use crate::{Port, Saga};
pub use reactor::Reactor;

/// Those whom the checkout asks.
pub struct Services {
    pub stock: Port<Stock>,
    pub order: Port<Order>,
    pub payment: Port<Payment>,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub patience: Patience,
    pub limits: DueLimits,
    /// Streams of one batch that the reactor tells of at once.
    pub reactions: usize,
}

impl Default for Settings {
    /// Fifteen minutes to settle, a day to finish.
    fn default() -> Self {
        let patience = Patience { settle_s: 15 * 60, finish_s: 24 * 60 * 60 };
        Self { patience, limits: DueLimits::default(), reactions: 256 }
    }
}

/// The saga of the `checkout` service.
#[must_use]
pub fn saga(
    checkout: Transactor<Checkout>,
    services: Services,
    read: &ReadSide,
    settings: Settings,
) -> Saga<Checkout> {
    let requests = requests::Requests { services, checkout: checkout.clone() };
    let mut saga = Saga::new(checkout.log().clone(), read, requests, settings.limits);
    saga.followers.push(Arc::new(Reactor::new(checkout, settings.patience, settings.reactions)));
    saga
}
