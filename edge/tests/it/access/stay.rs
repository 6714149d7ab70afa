//! How long somebody may stay who is answered without an end.

use super::{Service, as_role};
use axum::extract::Request;
use axum::routing::post;
use axum::{Extension, Router};
use edge::access::{AccessLimits, Stay, Wanted, api_keys};
use edge::{Role, clock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a request with this credential is given, if it is believed.
async fn stay(service: &Service, credential: &str) -> Option<Stay> {
    let given = Arc::<Mutex<Option<Stay>>>::default();
    let keep = given.clone();
    let keeping = move |Extension(stay): Extension<Stay>| {
        *keep.lock().unwrap() = Some(stay);
        async {}
    };
    let router = service.access.identified(Router::new().route("/", post(keeping)));
    let request = Request::post("/").header("authorization", format!("Bearer {credential}"));
    crate::send(&router, request.body(Default::default()).unwrap()).await;
    given.lock().unwrap().take()
}

async fn ends(stay: &mut Stay) {
    tokio::time::timeout(Duration::from_secs(60), stay.ended()).await.expect("it ends");
}

async fn goes_on(stay: &mut Stay) -> bool {
    tokio::time::timeout(Duration::from_millis(100), stay.ended()).await.is_err()
}

#[tokio::test]
async fn nobody_stays_longer_than_his_token_is_good() {
    let service = Service::limited(AccessLimits { skew_s: 0, ..AccessLimits::default() });
    let of = |s: u64| Wanted { lives: Duration::from_secs(s), ..as_role(Role::Warehouse) };
    assert!(stay(&service, "wrong").await.is_none());
    // On a slow day the first ones have expired before they are looked at.
    let mut lives = 1;
    let (mut brief, until) = loop {
        let until = clock::now().timestamp() + lives;
        let token = service.token(of(lives.unsigned_abs()));
        match stay(&service, &token).await {
            Some(stay) => break (stay, until),
            None => lives *= 2,
        }
    };
    let mut long = stay(&service, &service.token(of(3_600))).await.unwrap();
    ends(&mut brief).await;
    assert!(clock::now().timestamp() >= until);
    assert!(goes_on(&mut long).await);
}

#[tokio::test]
async fn who_stays_by_a_key_leaves_when_it_is_revoked_and_nobody_else_does() {
    let service = Service::new();
    let ((id, one), (_, other)) =
        (service.api_key(Role::Warehouse), service.api_key(Role::Support));
    assert!(service.reads_again());
    let (mut one, mut other) =
        (stay(&service, &one).await.unwrap(), stay(&service, &other).await.unwrap());
    assert!(goes_on(&mut one).await);
    api_keys::revoke(&service.settings.api_keys_file, &id, clock::now()).unwrap();
    assert!(service.reads_again());
    ends(&mut one).await;
    assert!(goes_on(&mut other).await, "what is trusted was read again, and it is still good");
}
