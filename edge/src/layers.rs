use crate::{Limits, Problem, leftover, limits, request_log};
use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// Puts around a finished router what every request needs, from the inside out: limits, the end of
/// panics, the rest of the body, and the request log, which also turns the router's own refusals into problems.
pub fn layered(router: Router, limits: Limits) -> Router {
    router
        .layer(middleware::from_fn_with_state(limits, limits::limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(limits, leftover::read_leftover))
        .layer(middleware::from_fn(request_log::log_request))
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Problem::internal(format!("panic: {text}")).into_response()
}
