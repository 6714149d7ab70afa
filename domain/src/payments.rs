//! Money held, taken and given back at the payment provider.

pub mod payment;
