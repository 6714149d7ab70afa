use super::{Service, as_role};
use edge::access::{SigningKeys, api_keys};
use edge::{Role, clock};
use http::StatusCode;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

impl Service {
    /// Whether it trusts what its files say now.
    pub(super) fn reads_again(&self) -> bool {
        let trust = self.access.read_again();
        trust.map(|new| new.expect("it asks who comes").trust()).is_ok()
    }

    async fn published(&self) -> Vec<Value> {
        let keys = self.get("/.well-known/jwks.json", None).await.1;
        let keys: Value = serde_json::from_str(&keys).unwrap();
        keys["keys"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_key_is_replaced_while_its_tokens_are_about() {
    let service = Service::new();
    let before = service.token(as_role(Role::Warehouse));
    let unseen = service.token(as_role(Role::Warehouse));
    assert_eq!(service.get("/stock", Some(&before)).await.0, StatusCode::OK);
    SigningKeys::rotate(&service.settings.keys_file, clock::now()).unwrap();
    assert!(service.reads_again());
    let after = service.token(as_role(Role::Warehouse));
    for token in [&after, &before, &unseen] {
        assert_eq!(service.get("/stock", Some(token)).await.0, StatusCode::OK);
    }
    let published = service.published().await;
    assert_eq!(published.len(), 2);
    let private = std::fs::read_to_string(&service.settings.keys_file).unwrap();
    let private: Value = serde_json::from_str(&private).unwrap();
    for key in private["keys"].as_array().unwrap() {
        assert!(!format!("{published:?}").contains(key["private"].as_str().unwrap()));
    }

    // Two days later, when the tokens of the first have expired.
    let later = clock::now() + chrono::TimeDelta::days(2);
    SigningKeys::rotate(&service.settings.keys_file, later).unwrap();
    assert!(service.reads_again());
    assert!(service.published().await.iter().all(|key| key["kid"] != published[0]["kid"]));
    assert_eq!(service.get("/stock", Some(&before)).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_api_key_is_good_until_it_is_revoked() {
    let service = Service::new();
    let (id, key) = service.api_key(Role::Warehouse);
    assert!(service.reads_again());
    assert_eq!(service.get("/stock", Some(&key)).await.0, StatusCode::OK);
    assert_eq!(service.get("/log/orders/0", Some(&key)).await.0, StatusCode::FORBIDDEN);

    let file = &service.settings.api_keys_file;
    let stored = std::fs::read_to_string(file).unwrap();
    assert!(!stored.contains(key.trim_start_matches("dbk_")), "the key itself is stored nowhere");
    assert!(api_keys::revoke(file, &id, clock::now()).unwrap());
    assert!(!api_keys::revoke(file, &id, clock::now()).unwrap());
    assert!(service.reads_again());
    assert_eq!(service.get("/stock", Some(&key)).await.0, StatusCode::UNAUTHORIZED);
    assert!(api_keys::list(file).unwrap()[0].revoked_at.is_some());
}

#[tokio::test]
async fn a_bad_file_is_refused_and_what_was_in_force_stays() {
    let service = Service::new();
    let (_, key) = service.api_key(Role::Warehouse);
    assert!(service.reads_again());
    for (file, bad) in [
        (&service.settings.api_keys_file, "{"),
        (&service.settings.keys_file, "{\"keys\": [{}]}"),
        (&service.settings.issuers_file, "[[issuer]]\nname = \"key\""),
        (&service.settings.issuers_file, "[[isuer]]"),
    ] {
        let (good, new) = (std::fs::read(file).ok(), service.token(as_role(Role::Warehouse)));
        std::fs::write(file, bad).unwrap();
        assert!(!service.reads_again(), "{bad}");
        assert_eq!(service.get("/stock", Some(&new)).await.0, StatusCode::OK, "{bad}");
        assert_eq!(service.get("/stock", Some(&key)).await.0, StatusCode::OK, "{bad}");
        match good {
            Some(good) => std::fs::write(file, good).unwrap(),
            None => std::fs::remove_file(file).unwrap(),
        }
    }
    let (_, another) = service.api_key(Role::Warehouse);
    assert!(service.reads_again());
    assert_eq!(service.get("/stock", Some(&another)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_file_of_secrets_that_everybody_may_read_is_refused() {
    let service = Service::new();
    let file = &service.settings.keys_file;
    let mode = |file| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file), 0o600);
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
    let refused = edge::Access::on(service.settings.clone()).unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}
