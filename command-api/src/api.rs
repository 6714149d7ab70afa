use crate::prices::Prices;
use domain::{
    catalogue::product::Product, checkout::checkout::Checkout, inventory::stock::Stock,
    orders::order::Order, payments::payment::Payment,
};
use edge::Problem;
use event_store::Transactor;
use std::time::Duration;

/// Everything that the command endpoints work with: of each service that is served here its write path.
#[derive(Clone)]
pub struct CommandApi {
    pub settings: Settings,
    pub products: Option<Transactor<Product>>,
    pub stock: Option<Transactor<Stock>>,
    pub orders: Option<Transactor<Order>>,
    pub payments: Option<Transactor<Payment>>,
    pub checkouts: Option<Transactor<Checkout>>,
    /// With the orders.
    pub prices: Option<Prices>,
}

/// What is served here; else the caller is told to go elsewhere.
pub(crate) fn served<T>(here: &Option<T>) -> Result<&T, Problem> {
    here.as_ref().ok_or_else(|| {
        Problem::unavailable("not-served", 5).detail(
            "This process does not take such commands. A gateway leads POST /v1/commands to the \
             service that ?service= names, and each line is for it.",
        )
    })
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
