use async_trait::async_trait;
use deadpool_postgres::Transaction;
use domain::checkout::checkout::{Checkout, Command, Patience};
use event_store::failpoint::failpoint;
use event_store::follow::{ApplyError, Follower};
use event_store::{Envelope, Recorded, TransactError, Transactor};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;
use std::sync::Arc;

use super::{inventory, orders, payments};
use crate::envelope;

const NAME: &str = "checkout-reactor";
/// Whose events a checkout hears.
pub(super) const LOGS: [&str; 3] = ["orders", "inventory", "payments"];

/// Follows orders, stock and payments, and tells each checkout what concerns it. An event read twice
/// is told under the same command id, so it is heard once.
pub struct Reactor {
    checkout: Transactor<Checkout>,
    patience: Patience,
    /// Streams of one batch that are told of at once.
    at_once: usize,
}

/// What a checkout is told: by its stream, and the event that says so.
pub(super) type Told = Option<(String, Command)>;

impl Reactor {
    #[must_use]
    pub fn new(checkout: Transactor<Checkout>, patience: Patience, at_once: usize) -> Self {
        Self { checkout, patience, at_once }
    }

    /// What one checkout is told of one stream, in order; the first failure ends it. Between streams
    /// there is no order to keep, so an order of many lines is not told line by line.
    async fn tell(
        &self,
        checkout: String,
        told: Vec<(Command, Envelope)>,
    ) -> Result<(), ApplyError> {
        let _under_way = UnderWay::begin();
        for (command, envelope) in told {
            self.checkout.transact(&checkout, command, envelope).await.map_err(|error| {
                let why = format!("{checkout}: {error}");
                match error {
                    TransactError::Busy
                    | TransactError::OutcomeUnknown
                    | TransactError::Store(_) => ApplyError::Transient(why),
                    TransactError::Newer { .. } => ApplyError::Unknown(why),
                    // What a reactor tells is a fact, which no checkout rejects.
                    TransactError::Rejected { .. }
                    | TransactError::OtherBody
                    | TransactError::WrongVersion { .. }
                    | TransactError::TooLarge { .. }
                    | TransactError::Data(_) => ApplyError::Poison(why),
                }
            })?;
        }
        Ok(())
    }
}

/// What a checkout is told of an event.
pub(super) fn react(event: &Recorded, patience: Patience) -> Result<Told, ApplyError> {
    match &*event.service {
        "orders" => orders::react(event, patience),
        "inventory" => inventory::react(event),
        "payments" => payments::react(event),
        other => Err(ApplyError::Poison(format!("the checkout does not follow {other}"))),
    }
}

/// Counts those who are told just now.
struct UnderWay(metrics::Gauge);

impl UnderWay {
    fn begin() -> Self {
        let gauge = metrics::gauge!("daybook_reactions_under_way");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[async_trait]
impl Follower for Reactor {
    fn name(&self) -> &str {
        NAME
    }

    fn logs(&self) -> Vec<String> {
        LOGS.map(str::to_owned).to_vec()
    }

    /// Writes no rows of its own: the commands are appended first, then the runner moves the checkpoint.
    async fn apply(&self, _: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        let mut by_pair: HashMap<(String, String), Vec<(Command, Envelope)>> = HashMap::new();
        for event in batch {
            if let Some((checkout, command)) = react(event, self.patience)? {
                let envelope = envelope::of_reaction(event, NAME);
                by_pair
                    .entry((checkout, event.stream.clone()))
                    .or_default()
                    .push((command, envelope));
            }
        }
        let telling = by_pair.into_iter().map(|((checkout, _), told)| self.tell(checkout, told));
        let told = stream::iter(telling).buffer_unordered(self.at_once).try_collect().await;
        failpoint("react-after-append");
        told
    }
}
