//! Who asks: found out once for each request, before anything else is done for it.

use super::{Access, Identity, Inner, Why};
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderMap, header};
use std::{net::SocketAddr, sync::Arc, time::Duration};

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

async fn identify(State(inner): State<Arc<Inner>>, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip());
    let found = match credential(request.headers()) {
        Ok(credential) => inner.find(credential, address).await,
        Err(why) => Err(Unknown { why, waits: None }),
    };
    match found {
        Ok(identity) => drop(request.extensions_mut().insert::<Arc<Identity>>(identity)),
        Err(unknown) => drop(request.extensions_mut().insert(unknown)),
    }
    next.run(request).await
}

/// `Authorization: Bearer …`, RFC 6750, and nothing else: what stands in a URL stands in logs.
fn credential(headers: &HeaderMap) -> Result<&str, Why> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next().ok_or(Why::NoToken)?;
    let text = value.to_str().map_err(|_| Why::Malformed)?;
    let (scheme, credential) = text.split_once(' ').ok_or(Why::Malformed)?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    if !is_bearer || all.next().is_some() || credential.len() > LONGEST_CREDENTIAL {
        return Err(Why::Malformed);
    }
    Ok(credential.trim())
}
