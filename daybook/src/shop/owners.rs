use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::OrderId;
use domain::orders::order::{self, Event};
use edge::{Peer, Problem};
use event_store::{Log, Recorded};
use projections::first_of;
use quick_cache::sync::Cache;

use super::services::Services;

/// Whose an order is: what its first event says, which never changes. Read from the log, for no read model has it sooner.
pub(super) struct Owners {
    orders: Orders,
    known: Cache<OrderId, Arc<str>>,
}

/// Where the orders' log is.
enum Orders {
    Here(Log),
    Elsewhere(Peer),
    /// Elsewhere, and nobody has said where.
    Unknown,
}

/// Owners that are remembered; what is asked of the log for one that is not is one row.
const REMEMBERED: usize = 100_000;

impl Owners {
    pub(super) fn new(services: &Services) -> Self {
        let here = services.log("orders").cloned().map(Orders::Here);
        let elsewhere = || services.peer("orders").cloned().map(Orders::Elsewhere);
        let orders = here.or_else(elsewhere).unwrap_or(Orders::Unknown);
        Owners { orders, known: Cache::new(REMEMBERED) }
    }

    async fn first(&self, stream: &str) -> Result<Option<Recorded>, Problem> {
        match &self.orders {
            Orders::Here(log) => {
                let first = log.read_stream(stream, 0, 1).await;
                Ok(first.map_err(|error| unavailable(error.to_string()))?.pop())
            }
            Orders::Elsewhere(owner) => {
                first_of(owner, stream).await.map_err(|error| unavailable(error.to_string()))
            }
            Orders::Unknown => Err(Problem::unavailable("not-served", 5)),
        }
    }
}

fn unavailable(why: String) -> Problem {
    Problem::unavailable("unavailable", 1)
        .detail("Whose this is cannot be asked just now.")
        .caused_by(why)
}

#[async_trait]
impl edge::access::Owners for Owners {
    async fn owner(&self, id: &str) -> Result<Option<Arc<str>>, Problem> {
        // What is no id is nobody's.
        let Ok(order) = id.parse::<OrderId>() else { return Ok(None) };
        if let Some(owner) = self.known.get(&order) {
            return Ok(Some(owner));
        }
        let Some(first) = self.first(&order::stream(order)).await? else { return Ok(None) };
        let event = first.decode::<Event>();
        let event = event.map_err(|error| unavailable(error.to_string()))?;
        let Event::Placed { customer: Some(customer), .. } = event else { return Ok(None) };
        let owner: Arc<str> = customer.as_str().into();
        self.known.insert(order, owner.clone());
        Ok(Some(owner))
    }
}
