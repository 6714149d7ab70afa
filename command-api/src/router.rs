use crate::{Batch, CommandApi, batch, checkouts, internal, orders, payments, products, stock};
use edge::{
    Permission::{Known, Narrowed, Own, Scope as Of},
    Routes, Scope,
};

/// Every command endpoint.
#[must_use]
pub fn routes() -> Routes<CommandApi> {
    Routes::new()
        .post("/v1/products", Of(Scope::PRODUCTS_WRITE), products::list)
        .post("/v1/products/{sku}/reprice", Of(Scope::PRODUCTS_WRITE), products::reprice)
        .post("/v1/products/{sku}/rename", Of(Scope::PRODUCTS_WRITE), products::rename)
        .post("/v1/products/{sku}/discontinue", Of(Scope::PRODUCTS_WRITE), products::discontinue)
        .post("/v1/stock/{sku}/receive", Of(Scope::STOCK_RECEIVE), stock::receive)
        .post("/v1/stock/{sku}/adjust", Of(Scope::STOCK_ADJUST), stock::adjust)
        .post("/v1/orders", Narrowed(Scope::ORDERS_PLACE, Scope::OWN_ORDERS_PLACE), orders::place)
        .post(
            "/v1/orders/{id}/cancel",
            Own(Scope::ORDERS_CANCEL, Scope::OWN_ORDERS_CANCEL),
            orders::cancel,
        )
        .post("/v1/orders/{id}/ship", Of(Scope::ORDERS_SHIP), orders::ship)
        .post("/v1/payments/{id}/refund", Of(Scope::PAYMENTS_REFUND), payments::refund)
        .post("/v1/checkouts/{id}/retry", Of(Scope::CHECKOUTS_DECIDE), checkouts::retry)
        .post("/v1/checkouts/{id}/cancel", Of(Scope::CHECKOUTS_DECIDE), checkouts::cancel)
        .post("/v1/checkouts/{id}/settle", Of(Scope::CHECKOUTS_DECIDE), checkouts::settle)
        .post("/internal/commands", Of(Scope::COMMANDS_SEND), internal::decide)
}

/// The endpoint of many commands at once. Whoever is known may begin, and each line is asked for by itself: strangers
/// take no place.
#[must_use]
pub fn many() -> Routes<Batch> {
    Routes::new().post("/v1/commands", Known, batch::take)
}
