use crate::{
    Queries, checkouts, log, order_history, orders, parked, payments, products, sales, stock,
    timeline,
};
use axum::{
    Router,
    routing::{get, post},
};

/// Every query endpoint.
pub fn router(queries: Queries) -> Router {
    Router::new()
        .route("/v1/products", get(products::list))
        .route("/v1/products/{sku}", get(products::find))
        .route("/v1/stock", get(stock::list))
        .route("/v1/stock/{sku}", get(stock::find))
        .route("/v1/orders", get(orders::list))
        .route("/v1/orders/{id}", get(orders::find))
        .route("/v1/orders/{id}/history", get(order_history::list))
        .route("/v1/orders/{id}/timeline", get(timeline::find))
        .route("/v1/payments/{id}", get(payments::find))
        .route("/v1/checkouts", get(checkouts::list))
        .route("/v1/checkouts/{id}", get(checkouts::find))
        .route("/v1/sales", get(sales::list))
        .route("/v1/log/{service}/{partition}", get(log::list))
        .route("/v1/parked", get(parked::list))
        .route("/v1/parked/retry", post(parked::try_again))
        .route("/v1/parked/discard", post(parked::leave_out))
        .with_state(queries)
}
