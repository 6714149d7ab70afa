use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderName, HeaderValue, Method, Uri, header};
use std::{
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The origins whose pages may call, besides those of our own: `https://shop.example, https://desk.example`, or `*`
/// for all of them. By default there are none, and browsers let no other page see an answer. Clones share them, and they
/// may be set to others at any time.
///
/// What a page sends is never taken for its user's because of a cookie: there are none here, so `*` gives nothing away
/// that is not everybody's.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<RwLock<Option<Arc<Allowed>>>>);

#[derive(Debug)]
struct Allowed {
    layer: CorsLayer,
    /// None is all of them.
    origins: Option<Vec<HeaderValue>>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "an origin is a scheme, a host and perhaps a port, as https://shop.example; `*` stands alone"
)]
pub struct NoOrigins;

impl FromStr for Origins {
    type Err = NoOrigins;

    fn from_str(text: &str) -> Result<Self, NoOrigins> {
        let some =
            || text.split(',').map(|origin| read(origin.trim())).collect::<Result<Vec<_>, _>>();
        let origins = if text.trim() == "*" { None } else { Some(some()?) };
        let allowed = origins.clone().map_or_else(AllowOrigin::any, AllowOrigin::list);
        let layer = CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers(SENT)
            .expose_headers(SHOWN)
            .max_age(REMEMBERED);
        Ok(Origins(Arc::new(RwLock::new(Some(Arc::new(Allowed { layer, origins }))))))
    }
}

fn read(text: &str) -> Result<HeaderValue, NoOrigins> {
    let uri: Uri = text.parse().map_err(|_| NoOrigins)?;
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.authority()) else {
        return Err(NoOrigins);
    };
    // As a browser writes it: it is compared byte by byte.
    let origin = format!("{scheme}://{host}");
    let plain = origin == text && text == text.to_ascii_lowercase() && !host.as_str().contains('@');
    if !plain {
        return Err(NoOrigins);
    }
    HeaderValue::try_from(origin).map_err(|_| NoOrigins)
}

/// What callers may send, besides what every page may.
const SENT: [HeaderName; 11] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("daybook-min-position"),
    HeaderName::from_static("prefer"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// What their pages may read, besides what every page may.
const SHOWN: [HeaderName; 14] = [
    header::ETAG,
    header::LOCATION,
    header::LINK,
    header::ALLOW,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("daybook-position"),
    HeaderName::from_static("daybook-min-position"),
    HeaderName::from_static("daybook-as-of"),
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("deprecation"),
    HeaderName::from_static("x-correlation-id"),
];

/// So long a browser need not ask again; longer than most would remember it.
const REMEMBERED: Duration = Duration::from_secs(7_200);

impl Origins {
    /// From now on these may call, and no others.
    pub fn set(&self, others: &Origins) {
        let others = others.allowed();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = others;
    }

    pub(crate) fn let_in(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), let_in))
    }

    pub(crate) fn allow(&self, origin: &HeaderValue) -> bool {
        let allowed = self.allowed();
        allowed.is_some_and(|it| it.origins.as_ref().is_none_or(|all| all.contains(origin)))
    }

    fn allowed(&self) -> Option<Arc<Allowed>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn let_in(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let Some(allowed) = origins.allowed() else { return next.run(request).await };
    match allowed.layer.layer(next).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::Origins;

    #[test]
    fn an_origin_is_what_a_browser_says_of_a_page() {
        for good in ["*", "https://shop.example", "http://127.0.0.1:3000, https://a.example:8443"] {
            assert!(good.parse::<Origins>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://shop.example/path",
            "https://Shop.example",
            "https://me@shop.example",
            "https://shop.example,*",
            "null",
        ] {
            assert!(bad.parse::<Origins>().is_err(), "{bad}");
        }
    }
}
