use crate::prices::Prices;
use domain::{
    catalogue::product::Product, checkout::checkout::Checkout, inventory::stock::Stock,
    orders::order::Order, payments::payment::Payment,
};
use event_store::Transactor;
use std::time::Duration;

/// Everything that the command endpoints work with.
#[derive(Clone)]
pub struct CommandApi {
    pub settings: Settings,
    pub products: Transactor<Product>,
    pub stock: Transactor<Stock>,
    pub orders: Transactor<Order>,
    pub payments: Transactor<Payment>,
    pub checkouts: Transactor<Checkout>,
    pub prices: Prices,
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Lets callers say when a command occurred, and take what prices they like: for the import of a
    /// shop's history, and for nothing else.
    pub accept_history: bool,
    /// How long an order waits for the price list to come to its `Daybook-Min-Position`.
    pub min_position_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { accept_history: false, min_position_wait: Duration::from_secs(2) }
    }
}
