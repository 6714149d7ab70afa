//! The write side: command endpoints, and the price list that orders agree prices from.
//!
//! An endpoint is one file, and all of them are in the table of [`routes`]. Each parses a request into a
//! command, hands it to the one write path of its decider, and answers what was appended. What a handler
//! looks up (a price) goes into the command; only `decide` refuses, so a repeated request gets its
//! first answer whatever has changed since.

mod router;
mod operations;
mod api;
mod command_request;
mod amounts;
mod answer;
mod refusal;
mod products;
mod stock;
mod orders;
mod payments;
mod checkouts;
mod internal;
mod batch;
pub mod prices;
#[cfg(fuzzing)]
pub mod fuzzing;

pub use api::{CommandApi, Settings};
pub use batch::{Batch, BatchLimits};
pub use operations::operations;
pub use router::{many, routes};
