//! The shop, pure: aggregates, their events and the checkout saga. Nothing here waits, reads a clock,
//! mints an id or draws a random number, so everything can be tested as plain functions.
//!
//! Every aggregate is one file with the same five things in the same order: `Command`, `Event`,
//! `State`, `Rejection` and a unit struct that implements [`decider::Decider`]. The bounded contexts
//! share [`ids`] and [`values`] and nothing else: what one learns of another arrives as an event or
//! in a command.

pub mod ids;
pub mod values;
mod streams;

pub mod catalogue;
pub mod inventory;
pub mod orders;
pub mod payments;
pub mod checkout;
pub mod contract;
