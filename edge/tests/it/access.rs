//! Who may take a route, and what is believed of a caller.

mod forge;
mod issuer;
mod issuers;
mod rates;
mod reload;
mod stay;
mod tokens;

use crate::{problem, send, slug};
use axum::{Router, body::Body, extract::ConnectInfo, response::Response};
use edge::access::api_keys::{self, WantedKey};
use edge::access::{AccessLimits, AccessSettings, OnlyOf, Owners, SigningKeys, Wanted};
use edge::{Access, Permission, Problem, Role, Routes, Scope, clock};
use http::{Method, Request, StatusCode};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;

const OWN: Permission = Permission::Own(Scope::ORDERS_READ, Scope::OWN_ORDERS_READ);
const NARROWED: Permission = Permission::Narrowed(Scope::ORDERS_READ, Scope::OWN_ORDERS_READ);

fn routes() -> Routes<()> {
    Routes::new()
        .get("/open", Permission::Open, async || "open")
        .get("/stock", Permission::Scope(Scope::STOCK_READ), async || "stock")
        .post("/stock", Permission::Scope(Scope::STOCK_ADJUST), async || "adjusted")
        .post("/many", Permission::Known, async || "many")
        .post("/commands", Permission::Scope(Scope::COMMANDS_SEND), async || "done")
        .get("/orders", NARROWED, async |OnlyOf(only): OnlyOf| format!("{only:?}"))
        .get("/orders/{id}", OWN, async || "order")
        .get("/log/{service}/{partition}", Permission::READ_LOG, async || "log")
}

/// Order 1 is 17850's, order 2 another's, and there are no others.
struct Ledger;

#[async_trait::async_trait]
impl Owners for Ledger {
    async fn owner(&self, id: &str) -> Result<Option<Arc<str>>, Problem> {
        Ok(match id {
            "1" => Some("17850".into()),
            "2" => Some("13047".into()),
            _ => None,
        })
    }
}

/// A small service of its own, with its keys.
struct Service {
    _folder: TempDir,
    settings: AccessSettings,
    access: Access,
    router: Router,
}

impl Service {
    /// Which is asked by many who are wrong.
    fn new() -> Self {
        Self::limited(AccessLimits { failures: 1_000_000, ..AccessLimits::default() })
    }

    fn limited(limits: AccessLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = AccessSettings {
            keys_file: folder.path().join("token-keys.json"),
            api_keys_file: folder.path().join("api-keys.json"),
            issuers_file: folder.path().join("issuers.toml"),
            issuer: "daybook".to_owned(),
            audience: "shop".to_owned(),
            services: vec!["orders".to_owned(), "catalogue".to_owned()],
            proxies: "192.0.2.7".parse().unwrap(),
            limits,
        };
        let access = Access::on(settings.clone()).unwrap().owned(Arc::new(Ledger));
        let jwks = edge::access::routes().router(access.clone(), &access);
        let router = access.identified(routes().router((), &access).merge(jwks));
        Service { _folder: folder, settings, access, router }
    }

    fn keys(&self) -> SigningKeys {
        SigningKeys::read(&self.settings.keys_file).unwrap()
    }

    fn token(&self, wanted: Wanted) -> String {
        self.keys().token(&wanted, clock::now()).unwrap()
    }

    fn api_key(&self, role: Role) -> (String, String) {
        let wanted = WantedKey {
            name: "loader".to_owned(),
            roles: BTreeSet::from([role]),
            scopes: BTreeSet::new(),
            customer: None,
        };
        let made = api_keys::create(&self.settings.api_keys_file, wanted, clock::now()).unwrap();
        (made.0.id, made.1)
    }

    async fn send(&self, method: Method, path: &str, credential: Option<&str>) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        self.forward(request.body(Body::empty()).unwrap()).await
    }

    /// As it comes from the proxy in front.
    async fn forward(&self, mut request: Request<Body>) -> Response {
        let from: SocketAddr = "192.0.2.7:1234".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(from));
        send(&self.router, request).await
    }

    async fn get(&self, path: &str, credential: Option<&str>) -> (StatusCode, String) {
        let response = self.send(Method::GET, path, credential).await;
        (response.status(), crate::text(response).await)
    }

    /// Why it is refused, as the log is told.
    async fn why(&self, path: &str, credential: &str) -> Option<String> {
        let response = self.send(Method::GET, path, Some(credential)).await;
        response.extensions().get::<Problem>().and_then(|it| it.cause().map(str::to_owned))
    }
}

fn as_role(role: Role) -> Wanted {
    Wanted {
        subject: "ann".to_owned(),
        roles: BTreeSet::from([role]),
        scopes: BTreeSet::new(),
        customer: (role == Role::Customer).then(|| "17850".to_owned()),
        acting: None,
        issuer: "daybook".to_owned(),
        audience: "shop".to_owned(),
        lives: Duration::from_secs(600),
    }
}

#[tokio::test]
async fn nobody_takes_a_route_that_he_has_not_the_scope_of() {
    let service = Service::new();
    let (fine, unknown, forbidden) = (200, 401, 403);
    let warehouse = Some(Role::Warehouse);
    for (method, path, who, verdict) in [
        (Method::GET, "/open", None, fine),
        (Method::HEAD, "/open", None, fine),
        (Method::GET, "/.well-known/jwks.json", None, fine),
        (Method::GET, "/stock", None, unknown),
        (Method::HEAD, "/stock", None, unknown),
        (Method::POST, "/stock", None, unknown),
        (Method::POST, "/many", None, unknown),
        (Method::POST, "/many", Some(Role::Customer), fine),
        (Method::GET, "/stock", warehouse, fine),
        (Method::POST, "/stock", warehouse, fine),
        (Method::GET, "/stock", Some(Role::Accountant), forbidden),
        (Method::POST, "/stock", Some(Role::Support), forbidden),
        (Method::GET, "/orders/1", warehouse, fine),
        (Method::GET, "/log/orders/0", Some(Role::Accountant), fine),
        (Method::GET, "/log/catalogue/0", Some(Role::Accountant), forbidden),
        (Method::GET, "/log/nothing/0", Some(Role::Operator), forbidden),
    ] {
        let token = who.map(|role| service.token(as_role(role)));
        let answer = service.send(method.clone(), path, token.as_deref()).await;
        assert_eq!(answer.status(), verdict, "{method} {path} as {who:?}");
        if verdict == unknown {
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
            assert_eq!(challenge, "Bearer realm=\"daybook\"");
        }
        if verdict == forbidden {
            assert_eq!(slug(&problem(answer).await), "forbidden");
        }
    }
}

#[tokio::test]
async fn with_access_off_everybody_takes_every_route() {
    let router = Access::off().identified(routes().router((), &Access::off()));
    for path in ["/open", "/stock", "/orders", "/orders/2", "/log/nothing/0"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(send(&router, request).await.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn what_is_another_customers_is_answered_as_what_is_not_there() {
    let service = Service::new();
    let token = service.token(as_role(Role::Customer));
    let (own, _) = service.get("/orders/1", Some(&token)).await;
    assert_eq!(own, StatusCode::OK);
    let others = service.get("/orders/2", Some(&token)).await;
    let nothing = service.get("/orders/3", Some(&token)).await;
    assert_eq!(others.0, StatusCode::NOT_FOUND);
    assert_eq!(others, nothing);
    let listed = service.get("/orders", Some(&token)).await;
    assert_eq!(listed, (StatusCode::OK, "Some(\"17850\")".to_owned()));

    let support = service.token(as_role(Role::Support));
    assert_eq!(service.get("/orders/2", Some(&support)).await.0, StatusCode::OK);
    assert_eq!(service.get("/orders", Some(&support)).await.1, "None");

    // A customer without a reference has nothing.
    let nobody = service.token(Wanted { customer: None, ..as_role(Role::Customer) });
    assert_eq!(service.get("/orders/1", Some(&nobody)).await.0, StatusCode::FORBIDDEN);
    assert_eq!(service.get("/orders", Some(&nobody)).await.0, StatusCode::FORBIDDEN);
}

#[test]
fn a_table_lists_what_is_routed_with_who_may_take_it() {
    let routes = routes();
    let rows: Vec<_> = routes.rows().map(|it| (it.method.as_str(), it.path)).collect();
    let expected = [
        ("GET", "/open"),
        ("GET", "/stock"),
        ("POST", "/stock"),
        ("POST", "/many"),
        ("POST", "/commands"),
        ("GET", "/orders"),
        ("GET", "/orders/{id}"),
        ("GET", "/log/{service}/{partition}"),
    ];
    assert_eq!(rows, expected);
    assert!(routes.rows().any(|it| it.permission == OWN));
}

#[tokio::test]
async fn who_guesses_is_made_to_wait_and_who_is_known_is_not() {
    let service = Service::limited(AccessLimits::default());
    let token = service.token(as_role(Role::Warehouse));
    assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::OK);
    let failures = service.settings.limits.failures;
    for guess in 0..failures {
        let guess = format!("dbk_{guess}");
        assert_eq!(service.get("/stock", Some(&guess)).await.0, StatusCode::UNAUTHORIZED);
    }
    let response = service.send(Method::GET, "/stock", Some("dbk_next")).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait));
    assert_eq!(slug(&problem(response).await), "too-many-failures");
    assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::OK);
    assert_eq!(service.get("/open", Some("dbk_next")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_guesses_behind_a_proxy_is_made_to_wait_and_his_neighbour_is_not() {
    let service = Service::limited(AccessLimits::default());
    let guess = async |forwarded: &str, credential: String| {
        let request = Request::get("/stock").header("x-forwarded-for", forwarded);
        let request = request.header("authorization", format!("Bearer {credential}"));
        service.forward(request.body(Body::empty()).unwrap()).await.status()
    };
    for number in 0..service.settings.limits.failures {
        // What stands before what the proxy has seen is the caller's own invention.
        let forwarded = format!("198.51.100.{number}, 203.0.113.1");
        let status = guess(&forwarded, format!("dbk_{number}")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let next = || "dbk_next".to_owned();
    assert_eq!(guess("203.0.113.1", next()).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(guess("203.0.113.2", next()).await, StatusCode::UNAUTHORIZED);
    let token = service.token(as_role(Role::Warehouse));
    assert_eq!(guess("203.0.113.2", token).await, StatusCode::OK);
}
