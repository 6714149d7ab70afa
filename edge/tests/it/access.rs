use crate::{problem, send, slug};
use axum::{Router, body::Body, extract::Request};
use edge::{Access, Identity, Permission, Role, Routes, Scope, access::How};
use http::{Method, StatusCode};
use std::{collections::BTreeSet, sync::Arc};

const OWN: Permission = Permission::Own(Scope::ORDERS_READ, Scope::OWN_ORDERS_READ);

fn routes() -> Routes<()> {
    Routes::new()
        .get("/open", Permission::Open, async || "open")
        .get("/stock", Permission::Scope(Scope::STOCK_READ), async || "stock")
        .post("/stock", Permission::Scope(Scope::STOCK_ADJUST), async || "adjusted")
        .get("/orders/{id}", OWN, async || "order")
        .get("/log/{service}/{partition}", Permission::READ_LOG, async || "log")
}

fn somebody(role: Role) -> Arc<Identity> {
    Arc::new(Identity {
        subject: "ann".into(),
        roles: BTreeSet::from([role]),
        scopes: role.scopes().iter().copied().collect(),
        customer: None,
        on_behalf_of: None,
        how: How::Token,
    })
}

async fn asked(
    router: &Router,
    method: Method,
    path: &str,
    who: Option<Role>,
) -> (StatusCode, Option<String>) {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    if let Some(role) = who {
        request.extensions_mut().insert(somebody(role));
    }
    let response = send(router, request).await;
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED {
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    }
    let problem = if status.is_success() { None } else { Some(problem(response).await) };
    (status, problem.map(|it| slug(&it).to_owned()))
}

#[tokio::test]
async fn nobody_takes_a_route_that_he_has_not_the_scope_of() {
    let router = routes().router((), &Access::on());
    let unknown = (StatusCode::UNAUTHORIZED, Some("unauthenticated".to_owned()));
    let forbidden = (StatusCode::FORBIDDEN, Some("forbidden".to_owned()));
    let fine = (StatusCode::OK, None);
    let warehouse = Some(Role::Warehouse);
    for (method, path, who, verdict) in [
        (Method::GET, "/open", None, &fine),
        (Method::GET, "/stock", None, &unknown),
        (Method::HEAD, "/open", None, &fine),
        (Method::POST, "/stock", None, &unknown),
        (Method::GET, "/stock", warehouse, &fine),
        (Method::POST, "/stock", warehouse, &fine),
        (Method::GET, "/stock", Some(Role::Accountant), &forbidden),
        (Method::POST, "/stock", Some(Role::Support), &forbidden),
        (Method::GET, "/orders/1", warehouse, &fine),
        (Method::GET, "/log/orders/0", Some(Role::Accountant), &fine),
        (Method::GET, "/log/catalogue/0", Some(Role::Accountant), &forbidden),
        (Method::GET, "/log/nothing/0", Some(Role::Operator), &forbidden),
    ] {
        let answer = asked(&router, method.clone(), path, who).await;
        assert_eq!(answer, *verdict, "{method} {path} as {who:?}");
    }
}

#[tokio::test]
async fn with_access_off_everybody_takes_every_route() {
    let router = routes().router((), &Access::off());
    for path in ["/open", "/stock", "/orders/1", "/log/nothing/0"] {
        assert_eq!(asked(&router, Method::GET, path, None).await, (StatusCode::OK, None), "{path}");
    }
}

#[test]
fn a_table_lists_what_is_routed_with_who_may_take_it() {
    let routes = routes();
    let rows: Vec<_> = routes.rows().map(|it| (it.method.as_str(), it.path)).collect();
    let expected = [
        ("GET", "/open"),
        ("GET", "/stock"),
        ("POST", "/stock"),
        ("GET", "/orders/{id}"),
        ("GET", "/log/{service}/{partition}"),
    ];
    assert_eq!(rows, expected);
    assert!(routes.rows().any(|it| it.permission == OWN));
}
