use crate::prices::Prices;
use domain::{
    catalogue::product::Product, inventory::stock::Stock, orders::order::Order,
    payments::payment::Payment,
};
use event_store::Transactor;

/// Everything that the command endpoints work with.
#[derive(Clone)]
pub struct CommandApi {
    pub settings: Settings,
    pub products: Transactor<Product>,
    pub stock: Transactor<Stock>,
    pub orders: Transactor<Order>,
    pub payments: Transactor<Payment>,
    pub prices: Prices,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Lets callers say when a command occurred, and take what prices they like: for the import of a
    /// shop's history, and for nothing else.
    pub accept_history: bool,
}
