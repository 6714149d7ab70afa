//! The price list of `orders`: what the catalogue asks for each product, as `orders` last heard it. The
//! table and its follower, which posts it from the catalogue's log, belong to the service `orders`.

mod list;
mod desk;
mod follower;
#[cfg(test)]
mod contracts;

pub use follower::PriceFollower;
pub use list::{Price, PriceLimits, Prices, PricesUnavailable};
