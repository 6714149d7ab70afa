use crate::{
    Queries, checkouts, log, order_history, orders, parked, payments, products, sales, stock,
    timeline,
};
use edge::{
    Permission::{self, Narrowed, Own, Scope as Of},
    Routes, Scope,
};

const OWN_ORDER: Permission = Own(Scope::ORDERS_READ, Scope::OWN_ORDERS_READ);

/// Every query endpoint.
#[must_use]
pub fn routes() -> Routes<Queries> {
    Routes::new()
        .get("/v1/products", Of(Scope::PRODUCTS_READ), products::list)
        .get("/v1/products/{sku}", Of(Scope::PRODUCTS_READ), products::find)
        .get("/v1/stock", Of(Scope::STOCK_READ), stock::list)
        .get("/v1/stock/{sku}", Of(Scope::STOCK_READ), stock::find)
        .get("/v1/orders", Narrowed(Scope::ORDERS_READ, Scope::OWN_ORDERS_READ), orders::list)
        .get("/v1/orders/{id}", OWN_ORDER, orders::find)
        .get("/v1/orders/{id}/history", OWN_ORDER, order_history::list)
        .get("/v1/orders/{id}/timeline", OWN_ORDER, timeline::find)
        .get(
            "/v1/payments/{id}",
            Own(Scope::PAYMENTS_READ, Scope::OWN_PAYMENTS_READ),
            payments::find,
        )
        .get("/v1/checkouts", Of(Scope::CHECKOUTS_READ), checkouts::list)
        .get(
            "/v1/checkouts/{id}",
            Own(Scope::CHECKOUTS_READ, Scope::OWN_CHECKOUTS_READ),
            checkouts::find,
        )
        .get("/v1/sales", Of(Scope::SALES_READ), sales::list)
        .get("/v1/log/{service}", Permission::READ_LOG, log::ends)
        .get("/v1/log/{service}/{partition}", Permission::READ_LOG, log::list)
        .get("/v1/log/{service}/streams/{stream}", Permission::READ_LOG, log::stream::list)
        .get("/v1/parked", Of(Scope::PARKED_READ), parked::list)
        .post("/v1/parked/retry", Of(Scope::PARKED_SETTLE), parked::try_again)
        .post("/v1/parked/discard", Of(Scope::PARKED_SETTLE), parked::leave_out)
}
