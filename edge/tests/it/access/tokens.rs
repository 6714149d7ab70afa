use super::{Service, as_role, forge};
use chrono::TimeDelta;
use edge::access::{SigningKeys, Wanted};
use edge::{Role, clock};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_token_that_is_wrong_in_any_way_is_refused_and_nobody_is_told_why() {
    let service = Service::new();
    let keys = service.keys();
    let good = as_role(Role::Warehouse);
    let wanted = |change: fn(&mut Wanted)| {
        let mut wanted = good.clone();
        change(&mut wanted);
        service.token(wanted)
    };
    let at = |minutes| keys.token(&good, clock::now() + TimeDelta::minutes(minutes)).unwrap();
    let token = service.token(good.clone());
    let claims = forge::claims(&token);
    let id = keys.id().unwrap();
    let header = |alg: &str| json!({"alg": alg, "typ": "at+jwt", "kid": id});
    let jwks = keys.jwks();
    let public = jwks["keys"][0]["x"].as_str().unwrap();
    let mut tampered = claims.clone();
    tampered["roles"] = json!(["operator"]);
    let (first, signature) = token.rsplit_once('.').unwrap();
    let tampered = forge::unsigned(&header("EdDSA"), &tampered) + "." + signature;
    let others = tempfile::tempdir().unwrap();
    let others = SigningKeys::ensure(&others.path().join("keys"), clock::now()).unwrap();
    for (what, token, why) in [
        ("expired", at(-20), "expired"),
        ("not yet valid", at(20), "not-yet-valid"),
        ("of another issuer", wanted(|it| it.issuer = "https://else".into()), "wrong-issuer"),
        ("for somebody else", wanted(|it| it.audience = "bank".into()), "wrong-audience"),
        ("unsigned", forge::unsigned(&header("none"), &claims) + ".", "malformed"),
        ("with no algorithm's name", forge::unsigned(&json!({}), &claims) + ".", "malformed"),
        (
            "signed with the public key as a secret",
            forge::hs256(public.as_bytes(), &header("HS256"), &claims),
            "wrong-algorithm",
        ),
        (
            "the same, of another algorithm's name",
            forge::hs256(public.as_bytes(), &header("EdDSA"), &claims),
            "bad-signature",
        ),
        ("of another algorithm", forge::Rsa::new().token(id, &claims), "wrong-algorithm"),
        ("of a key that nobody knows", others.token(&good, clock::now()).unwrap(), "unknown-key"),
        (
            "without the name of a key",
            forge::unsigned(&json!({"alg": "EdDSA"}), &claims) + "." + signature,
            "unknown-key",
        ),
        ("tampered with", tampered, "bad-signature"),
        ("cut short", first.to_owned(), "malformed"),
        ("no token", "hello".to_owned(), "malformed"),
        ("endless", "x".repeat(9_000), "malformed"),
        ("of a subject that is another's", wanted(|it| it.subject = "key/a".into()), "bad-claims"),
        ("of nobody", wanted(|it| it.subject = String::new()), "bad-claims"),
        ("of two lines", wanted(|it| it.subject = "a\nb".into()), "bad-claims"),
        ("a key that was never made", "dbk_nothing".to_owned(), "unknown-api-key"),
    ] {
        assert_eq!(service.why("/stock", &token).await.as_deref(), Some(why), "{what}");
        let response = service.send(Method::GET, "/stock", Some(&token)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{what}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert_eq!(challenge, "Bearer realm=\"daybook\", error=\"invalid_token\"");
        let text = crate::text(response).await;
        assert!(!text.contains(why) && !text.contains(&token), "{what}: {text}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["detail"], "This token is not accepted.");
    }
    assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::OK);
}

/// Good for something else, perhaps, but not here.
#[tokio::test]
async fn our_own_tokens_are_of_the_kind_that_we_issue_and_of_no_other() {
    let service = Service::new();
    let claims = forge::claims(&service.token(as_role(Role::Warehouse)));
    let stored = std::fs::read_to_string(&service.settings.keys_file).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    let key = &stored["keys"][0];
    let of = |kind: Option<&str>| {
        let mut header = json!({"alg": "EdDSA", "kid": key["id"]});
        if let Some(kind) = kind {
            header["typ"] = json!(kind);
        }
        forge::ed25519(key, &header, &claims)
    };
    for kind in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert_eq!(service.get("/stock", Some(&of(Some(kind)))).await.0, StatusCode::OK, "{kind}");
    }
    for kind in [None, Some("JWT"), Some("logout+jwt"), Some(""), Some("text/at+jwt")] {
        let why = service.why("/stock", &of(kind)).await;
        assert_eq!(why.as_deref(), Some("wrong-kind"), "{kind:?}");
    }
    let no_name =
        forge::ed25519(key, &json!({"alg": "EdDSA", "kid": key["id"], "typ": 1}), &claims);
    assert_eq!(service.why("/stock", &no_name).await.as_deref(), Some("malformed"));
}

#[tokio::test]
async fn a_token_is_good_for_as_long_as_clocks_may_differ_and_not_longer() {
    let service = Service::new();
    let keys = service.keys();
    let wanted = Wanted { lives: Duration::from_secs(60), ..as_role(Role::Warehouse) };
    let made = |seconds| keys.token(&wanted, clock::now() - TimeDelta::seconds(seconds)).unwrap();
    assert_eq!(service.get("/stock", Some(&made(75))).await.0, StatusCode::OK);
    assert_eq!(service.why("/stock", &made(105)).await.as_deref(), Some("expired"));
    assert_eq!(service.get("/stock", Some(&made(-15))).await.0, StatusCode::OK);
    assert_eq!(service.why("/stock", &made(-45)).await.as_deref(), Some("not-yet-valid"));
}

#[tokio::test]
async fn no_token_lives_longer_than_a_day() {
    let service = Service::new();
    let wanted = Wanted { lives: Duration::from_secs(1_000_000), ..as_role(Role::Operator) };
    let claims = forge::claims(&service.token(wanted));
    let lives = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lives, 24 * 3600);
}

#[tokio::test]
async fn a_process_shows_others_which_service_it_is() {
    let service = Service::new();
    let shows = |who, to, actor| service.access.service_token(who, to, actor).unwrap();
    let token = shows("checkout", "orders", None);
    assert_eq!(shows("checkout", "orders", None), token, "it is used again");
    let claims = forge::claims(&token);
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("checkout"), &json!("shop/orders")));
    let saga = shows("checkout", "orders", Some("checkout-saga"));
    assert_eq!(shows("checkout", "orders", Some("checkout-saga")), saga);
    let of_saga = forge::claims(&saga);
    let says = (&of_saga["sub"], &of_saga["act"]["sub"]);
    assert_eq!(says, (&json!("checkout-saga"), &json!("checkout")));
    for other in [
        shows("payments", "orders", None),
        shows("checkout", "catalogue", None),
        shows("checkout", "orders", Some("another-saga")),
    ] {
        assert!(other != token && other != saga);
        assert_eq!(service.get("/log/orders/0", Some(&other)).await.0, StatusCode::OK);
    }
    let elsewhere = shows("checkout", "payments", None);
    let why = service.why("/log/orders/0", &elsewhere).await;
    assert_eq!(
        why.as_deref(),
        Some("wrong-audience"),
        "nobody else can use what payments is shown"
    );
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 300);
    assert_eq!(service.get("/log/orders/0", Some(&token)).await.0, StatusCode::OK);
    assert_eq!(service.get("/stock", Some(&token)).await.0, StatusCode::FORBIDDEN);
    assert!(edge::Access::off().service_token("checkout", "orders", None).is_none());
}

#[tokio::test]
async fn tokens_for_ever_others_are_made_and_few_are_kept() {
    let service = Service::new();
    let shows = |actor: &str| service.access.service_token("checkout", "orders", Some(actor));
    let first = shows("saga-0").unwrap();
    for other in 1..1_000 {
        shows(&format!("saga-{other}")).unwrap();
    }
    assert_ne!(shows("saga-0").unwrap(), first, "it was let go for others");
    assert_eq!(shows("saga-999"), shows("saga-999"));
}

#[tokio::test]
async fn a_token_says_for_whom_its_bearer_acts() {
    let service = Service::new();
    let wanted = Wanted { acting: Some("checkout".to_owned()), ..as_role(Role::Support) };
    let claims = forge::claims(&service.token(wanted));
    assert_eq!((&claims["sub"], &claims["act"]["sub"]), (&json!("ann"), &json!("checkout")));
}
