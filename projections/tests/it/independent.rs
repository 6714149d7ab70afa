//! What the rows of each read model must be, told by SQL that shares nothing with the folds.

/// A projection, the read schema it lives in, and its rows twice: `derived` from the tables of events, and as they are
/// `posted`.
pub(crate) const READ_MODELS: [(&str, &str, &str); 7] = [
    ("products", "catalogue_read", include_str!("independent/products.sql")),
    ("stock", "inventory_read", include_str!("independent/stock.sql")),
    ("orders", "orders_read", include_str!("independent/orders.sql")),
    ("order-history", "orders_read", include_str!("independent/order-history.sql")),
    ("payments", "payments_read", include_str!("independent/payments.sql")),
    ("checkouts", "checkout_read", include_str!("independent/checkouts.sql")),
    ("sales", "orders_read", include_str!("independent/sales.sql")),
];

/// What only one side has: a question to be put behind one of these.
pub(crate) const DIFFER: &str = include_str!("independent/differ.sql");
