use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::OrderId;
use domain::orders::order::{self, Event};
use edge::Problem;
use event_store::Log;
use quick_cache::sync::Cache;

/// Whose an order is: what its first event says, which never changes. Read from the log, for no read model has it sooner.
pub(super) struct Owners {
    /// None: it is kept elsewhere, and whose an order is cannot be said here.
    orders: Option<Log>,
    known: Cache<OrderId, Arc<str>>,
}

/// Owners that are remembered; what is asked of the log for one that is not is one row.
const REMEMBERED: usize = 100_000;

impl Owners {
    pub(super) fn new(orders: Option<Log>) -> Self {
        Owners { orders, known: Cache::new(REMEMBERED) }
    }
}

#[async_trait]
impl edge::access::Owners for Owners {
    async fn owner(&self, id: &str) -> Result<Option<Arc<str>>, Problem> {
        // What is no id is nobody's.
        let Ok(order) = id.parse::<OrderId>() else { return Ok(None) };
        if let Some(owner) = self.known.get(&order) {
            return Ok(Some(owner));
        }
        let unavailable = |error| Problem::unavailable("unavailable", 1).caused_by(error);
        let elsewhere = || Problem::unavailable("not-served", 5);
        let orders = self.orders.as_ref().ok_or_else(elsewhere)?;
        let first = orders.read_stream(&order::stream(order), 0, 1).await;
        let first = first.map_err(|error| unavailable(error.to_string()))?;
        let Some(first) = first.first() else { return Ok(None) };
        let event = first.decode::<Event>();
        let event = event.map_err(|error| unavailable(error.to_string()))?;
        let Event::Placed { customer: Some(customer), .. } = event else { return Ok(None) };
        let owner: Arc<str> = customer.as_str().into();
        self.known.insert(order, owner.clone());
        Ok(Some(owner))
    }
}
