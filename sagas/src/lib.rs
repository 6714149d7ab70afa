//! What acts: reactors, requests to other services, the payment provider's client.
//!
//! [`checkout`] carries an order across stock and payment, [`payment`] carries a payment to the
//! provider; each is a [`Saga`]: followers to run, and a worker for what is owed. [`provider`] is the
//! provider's client, and [`sandbox`] a provider to talk to while there is no money.

pub mod checkout;
pub mod payment;
pub mod provider;
pub mod sandbox;
mod envelope;
mod port;

pub use port::Port;

use std::sync::Arc;

use decider::Owes;
use event_store::Log;
use event_store::dues::{DueFollower, DueLimits, DueWorker, Settle};
use event_store::follow::{Follower, ReadSide};

/// All that makes a decider act: who feeds it, who posts what it owes, and who does it.
pub struct Saga<D: Owes> {
    pub followers: Vec<Arc<dyn Follower>>,
    pub worker: DueWorker<D>,
}

impl<D: Owes> Saga<D> {
    fn new(log: Log, read: &ReadSide, settle: impl Settle<D>, limits: DueLimits) -> Self {
        let dues = DueFollower::<D>::limited(log, read.clone(), &limits);
        let worker = DueWorker::new(read.clone(), Arc::new(settle), dues.posted(), limits);
        Self { followers: vec![Arc::new(dues)], worker }
    }
}
