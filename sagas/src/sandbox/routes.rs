//! All endpoints of the sandbox in one table.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::{Sandbox, behaviour, gate, lookup, post as posted, report};

pub(super) fn table(sandbox: Arc<Sandbox>) -> Router {
    let stripe = Router::new()
        .route("/v1/payment_intents", post(posted::create).get(lookup::intents))
        .route("/v1/payment_intents/search", get(lookup::search))
        .route("/v1/payment_intents/{id}", get(lookup::intent))
        .route("/v1/payment_intents/{id}/capture", post(posted::capture))
        .route("/v1/payment_intents/{id}/cancel", post(posted::cancel))
        .route("/v1/refunds", post(posted::refund).get(lookup::refunds))
        .fallback(lookup::nowhere)
        .layer(from_fn_with_state(sandbox.clone(), gate::pass));
    Router::new()
        .route("/sandbox/book", get(report::report))
        .route("/sandbox/behaviour", get(behaviour::show).post(behaviour::set))
        .merge(stripe)
        .with_state(sandbox)
}
