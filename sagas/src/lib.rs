//! What acts: reactors, requests to other services, the payment provider's client.

pub mod provider;
pub mod sandbox;
