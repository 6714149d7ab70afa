use crate::{Problem, ids};
use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, request::Parts};
use std::sync::Arc;

/// Names the request in the logs of all who have to do with it.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const MAX_CORRELATION_CHARS: usize = 64;

/// What a request belongs to; it goes on into every event that the request causes.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The caller's `X-Correlation-Id`, up to 64 visible ASCII characters, else an id of our own.
    pub correlation: Arc<str>,
    /// The caller's `traceparent`, if it has the form of W3C Trace Context.
    pub traceparent: Option<Arc<str>>,
}

impl RequestContext {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let correlation = text(CORRELATION_ID.as_str())
            .filter(|id| (1..=MAX_CORRELATION_CHARS).contains(&id.len()))
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()))
            .map_or_else(|| ids::mint().to_string().into(), Arc::from);
        let traceparent = text("traceparent").filter(|it| is_traceparent(it)).map(Arc::from);
        RequestContext { correlation, traceparent }
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, in lower case, ids not all zero.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex = |part: &str, length| {
        part.len() == length
            && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let id = |part: &str, length| hex(part, length) && part.bytes().any(|byte| byte != b'0');
    matches!(parts[..], ["00", trace, span, flags] if id(trace, 32) && id(span, 16) && hex(flags, 2))
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The request log puts it there; a router without that layer still gets one.
        let context = parts.extensions.get::<RequestContext>().cloned();
        Ok(context.unwrap_or_else(|| RequestContext::of(&parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::{CORRELATION_ID, RequestContext, is_traceparent};
    use http::{HeaderMap, HeaderValue};

    fn correlation(value: &str) -> String {
        let value = HeaderValue::from_str(value).unwrap();
        let headers = HeaderMap::from_iter([(CORRELATION_ID, value)]);
        RequestContext::of(&headers).correlation.to_string()
    }

    #[test]
    fn a_correlation_id_of_up_to_64_visible_characters_is_kept() {
        assert_eq!(correlation("import-7/42"), "import-7/42");
        assert_eq!(correlation(&"x".repeat(64)), "x".repeat(64));
    }

    #[test]
    fn any_other_correlation_id_is_replaced_by_one_of_our_own() {
        for bad in ["", "two words", &"x".repeat(65)] {
            assert_eq!(correlation(bad).len(), 36, "{bad}");
        }
    }

    #[test]
    fn only_a_traceparent_goes_on_as_one() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(!is_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
        assert!(!is_traceparent("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"));
        assert!(!is_traceparent("0af7651916cd43dd8448eb211c80319c"));
    }
}
