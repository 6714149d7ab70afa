//! Who asks: found out once for each request, before anything else is done for it.

use super::{Access, Identity, Inner, Stay, Why};
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderMap, HeaderValue, header};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Longer than any token that we would believe.
const LONGEST_CREDENTIAL: usize = 8 * 1024;

/// A request whose caller is nobody that we know, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unknown {
    pub(super) why: Why,
    /// Until something that we have not seen yet is looked at again.
    pub(super) waits: Option<Duration>,
}

impl Access {
    /// Finds out who asks, around all routes: a request is given an `Arc<Identity>`, or none. Nobody is refused here,
    /// but by the guard of a route that is not open.
    pub fn identified(&self, router: Router) -> Router {
        match &self.inner {
            None => router,
            Some(inner) => router.layer(middleware::from_fn_with_state(inner.clone(), identify)),
        }
    }
}

/// From where a request came, for those who read of a refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct CameFrom(pub(super) Option<IpAddr>);

async fn identify(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let address = inner.settings.proxies.address(&parts);
    parts.extensions.insert(CameFrom(address));
    let found = match shown(&parts.headers) {
        Ok((shown, credential)) => {
            let found = inner.find(credential, address).await;
            found.map(|known| (shown.clone(), known))
        }
        Err(why) => Err(Unknown { why, waits: None }),
    };
    match found {
        Ok((shown, known)) => {
            parts.extensions.insert::<Arc<Identity>>(known.identity.clone());
            parts.extensions.insert(Stay { inner, shown, known });
        }
        Err(unknown) => drop(parts.extensions.insert(unknown)),
    }
    next.run(Request::from_parts(parts, body)).await
}

/// What is shown, and the credential in it.
fn shown(headers: &HeaderMap) -> Result<(&HeaderValue, &str), Why> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next().ok_or(Why::NoToken)?;
    let credential = bearer(value)?;
    if all.next().is_some() { Err(Why::Malformed) } else { Ok((value, credential)) }
}

/// `Authorization: Bearer …`, RFC 6750, and nothing else: what stands in a URL stands in logs.
pub(super) fn bearer(value: &HeaderValue) -> Result<&str, Why> {
    let text = value.to_str().map_err(|_| Why::Malformed)?;
    let (scheme, credential) = text.split_once(' ').ok_or(Why::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") || credential.len() > LONGEST_CREDENTIAL {
        return Err(Why::Malformed);
    }
    Ok(credential.trim())
}
