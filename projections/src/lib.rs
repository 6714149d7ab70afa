//! What remembers: read models, query endpoints, rebuild.
//!
//! A read model is one file: its tables, its fold ([`Projection::post`]), its queries and its endpoint.
//! [`follow`] keeps one generation of each up to date, [`router`] answers from it, and [`rebuild`] builds
//! another one from the log beside it and makes that the live one. Everything here can be thrown away and
//! posted again; nothing here writes a log.

mod projection;
mod generation;
mod rebuild;
mod query;
mod router;

mod orders;
mod parked;
mod order_history;
mod stock;
mod products;
mod payments;
mod checkouts;
mod sales;
mod log;

#[cfg(fuzzing)]
pub mod fuzzing {
    //! What fuzzing reaches, and nobody else.
    pub use crate::query::cursor;
}

pub use checkouts::{NeedsAttention, needing_attention};
pub use generation::{Generations, SWITCH_PATIENCE, follow};
pub use log::LoggedEvent;
pub use projection::{Layout, Place, Posting, Projection};
pub use query::{Amount, Queries};
pub use rebuild::{Phase, Progress, RebuildError, Rebuilt, rebuild};
pub use router::router;

use std::sync::Arc;

/// Every read model that there is.
#[must_use]
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(orders::Orders),
        Arc::new(order_history::OrderHistory),
        Arc::new(stock::Stocks),
        Arc::new(products::Products),
        Arc::new(payments::Payments),
        Arc::new(checkouts::Checkouts),
        Arc::new(sales::Sales),
    ]
}
