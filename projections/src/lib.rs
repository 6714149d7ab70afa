//! What remembers: read models, query endpoints, rebuild.
//!
//! A read model is one file: its tables, its fold ([`Projection::post`]), its queries and its endpoint.
//! [`follow`] keeps one generation of each up to date, [`routes`] answers from it, and [`rebuild()`] builds
//! another one from the log beside it and makes that the live one. Everything here can be thrown away and
//! posted again; nothing here writes a log.

mod projection;
mod generation;
mod compare;
mod rebuild;
mod query;
mod router;
mod operations;

mod orders;
mod parked;
mod order_history;
mod stock;
mod products;
mod payments;
mod checkouts;
mod sales;
mod timeline;
mod log;
#[cfg(test)]
mod contracts;

#[cfg(fuzzing)]
pub mod fuzzing {
    //! What fuzzing reaches, and nobody else.
    pub use crate::query::cursor;
}

pub use checkouts::{NeedsAttention, needing_attention};
pub use compare::{
    ColumnDiffers, Columns, Compared, ComparedTable, Difference, ParkedBy, ParkedStream,
};
pub use generation::{
    Generation, Generations, SWITCH_PATIENCE, build_missing, follow, generations,
};
pub use log::{HttpOwner, LoggedEvent, first_of, readable};
pub use operations::operations;
pub use projection::{Layout, Place, Posting, Projection};
pub use query::{Amount, Queries, ROOM, Teller};
pub use rebuild::{
    Check, Left, Phase, Progress, RebuildError, Rebuilt, Tell, Unit, Verified, Work, drop_one,
    rebuild, roll_back, verify,
};
pub use router::routes;
pub use timeline::{Absent, BecauseOf, Happened, Part, StillDue, Timeline, timeline};

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
