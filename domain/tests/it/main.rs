//! What can only be seen from outside: that contexts keep apart, what is stored, and the checkout
//! among its neighbours.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod checkout_among_its_neighbours;
mod consumers;
mod contexts_keep_apart;
mod contracts;
mod corpus;
mod snapshots;
mod world;
