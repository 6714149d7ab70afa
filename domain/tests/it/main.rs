//! What can only be seen from outside: that contexts keep apart, what is stored, and the checkout
//! among its neighbours.

mod checkout_among_its_neighbours;
mod contexts_keep_apart;
mod corpus;
mod world;
