//! Where nobody is asked who he is: no page of another place may use a browser of this machine to act, and no proxy lets
//! in who is elsewhere.

use crate::{Origins, Problem, caller};
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use std::net::IpAddr;

/// Lets through what is asked of a name of this machine, and by no page but those of this machine and of `origins`. A page
/// whose name is made to lead here (DNS rebinding) asks by that name; one that sends a form elsewhere is named as its
/// origin; and a proxy says for whom it asks, whatever he says himself. Nothing of it keeps out a program of this machine,
/// which may say what it likes: for that there are tokens.
pub fn for_this_machine(router: Router, origins: &Origins) -> Router {
    router.layer(middleware::from_fn_with_state(origins.clone(), pass))
}

async fn pass(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let foreign = foreign(request.uri(), request.headers(), &origins);
    let Some(foreign) = foreign else { return next.run(request).await };
    let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden")
        .detail(
            "Nobody is asked who he is here, and so only this machine is answered, by its own names: 127.0.0.1, \
             [::1] or localhost. For others start it with `auth = \"on\"`, and for pages of theirs with `cors_origins`.",
        )
        .caused_by(foreign);
    problem.into_response()
}

fn foreign(uri: &Uri, headers: &HeaderMap, origins: &Origins) -> Option<&'static str> {
    // Of HTTP/2 it stands in the URI.
    let host = headers.get(header::HOST).map(HeaderValue::to_str);
    let host = host.or_else(|| uri.authority().map(|it| Ok(it.as_str())));
    if !host.is_none_or(|host| host.is_ok_and(|host| is_ours(host) || is_plain(host))) {
        return Some("asked by another machine's name");
    }
    let (plain, standard) = caller::forwarded(headers);
    let is_here = |from: &Option<IpAddr>| from.is_some_and(|from| from.is_loopback());
    if !plain.iter().chain(&standard).all(is_here) {
        return Some("asked by a proxy for another machine");
    }
    let origin = headers.get(header::ORIGIN)?;
    let name = origin.to_str().ok().and_then(|it| it.split_once("://"));
    let is_ours = name.is_some_and(|(_, host)| is_ours(host));
    (!is_ours && !origins.allow(origin)).then_some("asked by a page of another place")
}

/// A name without a dot, as containers have: nobody can have such a one made to lead here from outside.
fn is_plain(host: &str) -> bool {
    let name = without_port(host);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `localhost:7400`, `127.0.0.1`, `[::1]:7400`
fn is_ours(host: &str) -> bool {
    without_port(host).eq_ignore_ascii_case("localhost")
        || caller::read(host).is_some_and(|address| address.is_loopback())
}

fn without_port(host: &str) -> &str {
    let port = |text: &str| text.parse::<u16>().is_ok();
    host.rsplit_once(':').filter(|(_, it)| port(it)).map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_let_through() {
        let origins = "https://desk.example".parse().unwrap();
        let asked = |host: &str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            headers.extend(origin.map(|it| (header::ORIGIN, HeaderValue::from_static(it))));
            foreign(&Uri::from_static("/v1/orders"), &headers, &origins).is_none()
        };
        for host in [
            "localhost",
            "LOCALHOST:7400",
            "127.0.0.1:7400",
            "127.9.9.9",
            "[::1]:7400",
            "gateway",
            "gateway:7400",
        ] {
            assert!(asked(host, None), "{host}");
        }
        for host in [
            "shop.example",
            "127.0.0.1.shop.example:7400",
            "localhost.shop.example",
            "10.0.0.1",
            "",
        ] {
            assert!(!asked(host, None), "{host}");
        }
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://desk.example"] {
            assert!(asked("localhost:7400", Some(origin)), "{origin}");
        }
        for origin in ["https://shop.example", "null", "http://localhost.shop.example"] {
            assert!(!asked("localhost:7400", Some(origin)), "{origin}");
        }
        let forwarded = |name: &'static str, from: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, from.parse().unwrap());
            foreign(&Uri::from_static("/v1/orders"), &headers, &origins).is_none()
        };
        for (name, from, passes) in [
            ("x-forwarded-for", "127.0.0.1", true),
            ("x-forwarded-for", "::1", true),
            ("x-forwarded-for", "192.0.2.7", false),
            ("x-forwarded-for", "127.0.0.1, 192.0.2.7", false),
            ("x-forwarded-for", "unknown", false),
            ("forwarded", "for=\"[::1]:4711\";proto=http", true),
            ("forwarded", "for=192.0.2.7", false),
            ("forwarded", "proto=https", false),
        ] {
            assert_eq!(forwarded(name, from), passes, "{name}: {from}");
        }
        let uri = Uri::from_static("https://shop.example/v1/orders");
        assert!(foreign(&uri, &HeaderMap::new(), &origins).is_some());
        assert!(foreign(&Uri::from_static("/v1/orders"), &HeaderMap::new(), &origins).is_none());
    }
}
