//! What is on hand, and for whom it is held.

pub mod stock;
