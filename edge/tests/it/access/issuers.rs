use super::Service;
use super::forge::{self, Rsa};
use super::issuer::Issuer;
use edge::access::{AccessLimits, Role, Wanted, read_issuers};
use edge::{Access, clock};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A service that trusts the issuer, and asks it again after `refetch`.
fn trusting(issuer: &Issuer, refetch: Duration) -> Service {
    limited(issuer, AccessLimits { failures: 1_000_000, refetch, ..AccessLimits::default() })
}

fn limited(issuer: &Issuer, limits: AccessLimits) -> Service {
    let mut service = Service::limited(limits);
    let text = format!(
        "[[issuer]]\nname = \"idp\"\nissuer = \"{}\"\naudience = \"shop\"\n\
         roles_claim = \"realm_access.roles\"\n",
        issuer.url
    );
    std::fs::write(&service.settings.issuers_file, text).unwrap();
    service.access = Access::on(service.settings.clone()).unwrap();
    service.router = service.access.identified(super::routes().router((), &service.access));
    service
}

fn claims(issuer: &Issuer) -> Value {
    let now = clock::now().timestamp();
    json!({
        "iss": issuer.url, "sub": "4f7c", "aud": ["account", "shop"], "exp": now + 300, "iat": now,
        "realm_access": {"roles": ["warehouse", "uma_authorization"]}, "scope": "openid email",
    })
}

#[tokio::test]
async fn a_token_of_another_issuer_is_believed_by_the_keys_that_it_publishes() {
    let (issuer, rsa) = (Issuer::start().await, Rsa::new());
    issuer.has(Some(vec![rsa.jwk("one"), json!({"kty": "oct", "k": "c2VjcmV0", "kid": "two"})]));
    let service = trusting(&issuer, Duration::from_secs(3600));
    let token = rsa.token("one", &claims(&issuer));
    assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::OK);
    assert_eq!(service.get("/log/orders/0", Some(&token)).await.0, StatusCode::FORBIDDEN);
    assert_eq!(issuer.asked(), 1);

    let with = |name: &str, value: Value| {
        let mut claims = claims(&issuer);
        claims[name] = value;
        rsa.token("one", &claims)
    };
    let now = clock::now().timestamp();
    for (token, why) in [
        (with("aud", json!("account")), "wrong-audience"),
        (with("iss", json!("https://elsewhere")), "wrong-issuer"),
        (with("iss", json!("daybook")), "unknown-key"),
        (with("exp", json!(now - 300)), "expired"),
        (with("nbf", json!(now + 300)), "not-yet-valid"),
        (with("sub", json!("")), "bad-claims"),
        (rsa.token("two", &claims(&issuer)), "unknown-key"),
    ] {
        assert_eq!(service.why("/stock", &token).await.as_deref(), Some(why));
    }
    // Services believe each other what has happened, by what is shown to one of them, and nobody else, whatever role he has.
    let mut service_of_theirs = claims(&issuer);
    service_of_theirs["realm_access"]["roles"] = json!(["service"]);
    let own = |audience: &str| {
        let wanted = super::as_role(Role::Service);
        service.token(Wanted { audience: audience.to_owned(), ..wanted })
    };
    let (_, key) = service.api_key(Role::Service);
    service.access.read_again().unwrap().unwrap().trust();
    for (token, status) in [
        (rsa.token("one", &service_of_theirs), StatusCode::FORBIDDEN),
        (key, StatusCode::FORBIDDEN),
        (own("shop"), StatusCode::FORBIDDEN),
        (own("shop/orders"), StatusCode::OK),
    ] {
        let answer = service.send(Method::POST, "/commands", Some(&token)).await;
        assert_eq!(answer.status(), status);
    }
    // A secret made of what everybody knows.
    let header = json!({"alg": "HS256", "kid": "one"});
    let forged = forge::hs256(rsa.public(), &header, &claims(&issuer));
    assert_eq!(service.why("/stock", &forged).await.as_deref(), Some("wrong-algorithm"));
    // Scopes of ours that such a token names narrow what its roles give, and add nothing.
    let narrowed = with("scope", json!("openid stock:adjust orders:place"));
    assert_eq!(service.get("/stock", Some(&narrowed)).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_of_another_issuer_is_one_of_access_or_does_not_say_what_it_is() {
    let (issuer, rsa) = (Issuer::start().await, Rsa::new());
    issuer.has(Some(vec![rsa.jwk("one")]));
    let service = trusting(&issuer, Duration::from_secs(3600));
    let of = |kind: Option<&str>| {
        let mut header = json!({"alg": "RS256", "kid": "one"});
        if let Some(kind) = kind {
            header["typ"] = json!(kind);
        }
        rsa.headed(&header, &claims(&issuer))
    };
    for kind in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+JWT")] {
        let answer = service.get("/stock", Some(&of(kind))).await;
        assert_eq!(answer.0, StatusCode::OK, "{kind:?}");
    }
    for kind in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "", "application/json"] {
        let token = of(Some(kind));
        assert_eq!(service.why("/stock", &token).await.as_deref(), Some("wrong-kind"), "{kind}");
        assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn an_issuer_is_asked_for_a_key_that_is_new_but_not_again_and_again() {
    let (issuer, rsa) = (Issuer::start().await, Rsa::new());
    let service = trusting(&issuer, Duration::from_secs(3600));
    for id in 0..50 {
        let token = rsa.token(&id.to_string(), &claims(&issuer));
        assert_eq!(service.why("/stock", &token).await.as_deref(), Some("unknown-key"));
    }
    assert_eq!(issuer.asked(), 1);

    let service = trusting(&issuer, Duration::ZERO);
    issuer.has(Some(vec![rsa.jwk("one")]));
    let old = rsa.token("one", &claims(&issuer));
    assert_eq!(service.get("/stock", Some(&old)).await.0, StatusCode::OK);
    issuer.has(Some(vec![rsa.jwk("one"), rsa.jwk("two")]));
    let new = rsa.token("two", &claims(&issuer));
    assert_eq!(service.get("/stock", Some(&new)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_is_remembered_is_forgotten_with_the_key_that_signed_it() {
    let mut other = Rsa::new().jwk("one");
    let modulus = other["n"].as_str().unwrap();
    other["n"] = format!("{}A{}", &modulus[..9], &modulus[10..]).into();
    for instead in [Rsa::new().jwk("two"), other] {
        is_forgotten(instead).await;
    }
}

/// When the issuer publishes another key instead, also under the same id.
async fn is_forgotten(instead: Value) {
    let (issuer, rsa) = (Issuer::start().await, Rsa::new());
    issuer.has(Some(vec![rsa.jwk("one")]));
    let service =
        limited(&issuer, AccessLimits { refresh: Duration::ZERO, ..AccessLimits::default() });
    let token = rsa.token("one", &claims(&issuer));
    assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::OK);
    issuer.has(None);
    for _ in 0..3 {
        assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::OK, "it is away");
    }
    issuer.has(Some(vec![instead]));
    let forgetting = async {
        while service.get("/stock", Some(&token)).await.0 != StatusCode::UNAUTHORIZED {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), forgetting).await.expect("it is forgotten");
}

#[tokio::test]
async fn an_issuer_that_is_away_takes_nothing_from_whom_we_know() {
    let (issuer, rsa) = (Issuer::start().await, Rsa::new());
    issuer.has(None);
    let service = trusting(&issuer, Duration::ZERO);
    let token = rsa.token("one", &claims(&issuer));
    let first = service.get("/stock", Some(&token)).await.0;
    assert_eq!(first, StatusCode::SERVICE_UNAVAILABLE);
    issuer.has(Some(vec![rsa.jwk("one")]));
    assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::OK);

    issuer.has(None);
    let unknown = rsa.token("two", &claims(&issuer));
    assert_eq!(service.why("/stock", &unknown).await.as_deref(), Some("unknown-key"));
    let mut another = claims(&issuer);
    another["sub"] = json!("another");
    let another = rsa.token("one", &another);
    assert_eq!(service.get("/stock", Some(&another)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_issuer_that_calls_itself_another_is_not_believed() {
    let (issuer, rsa) = (Issuer::start().await, Rsa::new());
    issuer.has(Some(vec![rsa.jwk("one")]));
    issuer.calls_itself("https://login.example");
    let service = trusting(&issuer, Duration::ZERO);
    let token = rsa.token("one", &claims(&issuer));
    assert_eq!(service.why("/stock", &token).await.as_deref(), Some("issuer-away"));
}

#[test]
fn an_issuer_is_configured_so_that_it_can_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("issuers.toml");
    assert_eq!(read_issuers(&file).unwrap(), vec![]);
    let issuer = |name: &str, url: &str, audience: &str| {
        format!("[[issuer]]\nname = \"{name}\"\nissuer = \"{url}\"\naudience = \"{audience}\"\n")
    };
    let good = issuer("idp", "https://login.example/realms/shop", "shop");
    std::fs::write(&file, &good).unwrap();
    assert_eq!(read_issuers(&file).unwrap()[0].roles_claim, "roles");
    for bad in [
        issuer("idp", "http://login.example", "shop"),
        issuer("idp", "login", "shop"),
        issuer("idp", "https://login.example", ""),
        issuer("key", "https://login.example", "shop"),
        issuer("a/b", "https://login.example", "shop"),
        issuer("", "https://login.example", "shop"),
        good.clone() + &good,
        good + "secret = \"x\"\n",
    ] {
        std::fs::write(&file, &bad).unwrap();
        assert!(read_issuers(&file).is_err(), "{bad}");
    }
}
