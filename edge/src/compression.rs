use crate::{Problem, revalidation};
use axum::{
    Router,
    middleware::map_response,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, StatusCode, Version};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
};

/// Compresses what is found, by gzip, Brotli or Zstandard as `Accept-Encoding` says, if it has at least so many bytes.
/// Events that are sent as they come are not: they would be held back.
///
/// The quickest level: the answers are JSON, which it makes five to ten times smaller, and a better one makes them
/// little smaller for several times the work.
pub(crate) fn compressed(router: Router, from_bytes: u64) -> Router {
    let found =
        |status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| status == StatusCode::OK;
    let worth_it = SizeAbove::new(from_bytes).and(NotForContentType::SSE).and(found);
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it);
    router.layer(layer).layer(map_response(sent))
}

async fn sent(mut response: Response) -> Response {
    // The layer's own, to whoever takes no coding that there is and refuses the plain answer too.
    if response.status() == StatusCode::NOT_ACCEPTABLE {
        return Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable")
            .detail(
                "Accept-Encoding leaves no way to answer: gzip, br, zstd and identity are known.",
            )
            .into_response();
    }
    revalidation::coded(response.headers_mut());
    response
}
