use crate::{CommandApi, checkouts, orders, payments, products, stock};
use axum::{Router, routing::post};

/// Every command endpoint.
pub fn router(api: CommandApi) -> Router {
    Router::new()
        .route("/v1/products", post(products::list))
        .route("/v1/products/{sku}/reprice", post(products::reprice))
        .route("/v1/products/{sku}/rename", post(products::rename))
        .route("/v1/products/{sku}/discontinue", post(products::discontinue))
        .route("/v1/stock/{sku}/receive", post(stock::receive))
        .route("/v1/stock/{sku}/adjust", post(stock::adjust))
        .route("/v1/orders", post(orders::place))
        .route("/v1/orders/{id}/cancel", post(orders::cancel))
        .route("/v1/orders/{id}/ship", post(orders::ship))
        .route("/v1/payments/{id}/refund", post(payments::refund))
        .route("/v1/checkouts/{id}/retry", post(checkouts::retry))
        .route("/v1/checkouts/{id}/cancel", post(checkouts::cancel))
        .route("/v1/checkouts/{id}/settle", post(checkouts::settle))
        .with_state(api)
}
