use crate::{
    Limits, Origins, Problem, compression, finish, leftover, limits, request_log, revalidation,
};
use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// Puts around a finished router what every request needs, from the inside out: limits, the end of
/// panics, the rest of the body, the last touch to the answer, which also turns the router's own refusals into
/// problems, and the request log.
pub fn layered(router: Router, limits: Limits) -> Router {
    layered_for(router, limits, &Origins::default())
}

/// The same for pages of these origins too.
pub fn layered_for(router: Router, limits: Limits, origins: &Origins) -> Router {
    let router = router
        .layer(middleware::from_fn_with_state(limits, limits::limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(limits, leftover::read_leftover))
        .layer(middleware::from_fn(finish::finish_answer));
    origins.let_in(router).layer(middleware::from_fn(request_log::log_request))
}

/// Puts around query endpoints what commands do without: what a caller has already is not sent to him again, and what
/// has at least so many bytes is compressed for whoever takes that.
pub fn queried(router: Router, compress_from_bytes: u64) -> Router {
    let router = router.layer(middleware::from_fn(revalidation::revalidate));
    compression::compressed(router, compress_from_bytes)
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Problem::internal(format!("panic: {text}")).into_response()
}
