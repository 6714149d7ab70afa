use super::{Service, as_role};
use edge::access::{AccessSettings, SigningKeys, api_keys};
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
async fn what_is_withdrawn_is_believed_no_more_while_another_file_is_bad_and_nothing_new_is() {
    let service = Service::new();
    let AccessSettings { keys_file, api_keys_file, issuers_file, .. } = service.settings.clone();
    let ((id, revoked), (_, kept)) =
        (service.api_key(Role::Warehouse), service.api_key(Role::Warehouse));
    assert!(service.reads_again());
    let asks = async |credential: &str| service.get("/stock", Some(credential)).await.0.as_u16();
    let token = service.token(as_role(Role::Warehouse));
    assert!(!service.access.withdraw(), "nothing was");

    std::fs::write(&issuers_file, "[[issuer]]").unwrap();
    assert!(api_keys::revoke(&api_keys_file, &id, clock::now()).unwrap());
    let (_, new) = service.api_key(Role::Warehouse);
    assert!(!service.reads_again());
    assert_eq!((asks(&revoked).await, asks(&kept).await), (200, 200));
    assert!(service.access.withdraw());
    assert_eq!((asks(&revoked).await, asks(&kept).await, asks(&new).await), (401, 200, 401));
    assert!(!service.access.withdraw(), "it was taken away already");

    // A file that cannot be read says of nothing that it is withdrawn.
    let good = std::fs::read(&api_keys_file).unwrap();
    std::fs::write(&api_keys_file, "{").unwrap();
    SigningKeys::rotate(&keys_file, clock::now()).unwrap();
    assert!(!service.access.withdraw());
    assert_eq!((asks(&token).await, asks(&kept).await), (200, 200));
    std::fs::remove_file(&keys_file).unwrap();
    SigningKeys::ensure(&keys_file, clock::now()).unwrap();
    assert!(service.access.withdraw());
    assert_eq!((asks(&token).await, asks(&kept).await), (401, 200), "its key is gone");

    std::fs::write(&api_keys_file, good).unwrap();
    std::fs::remove_file(&issuers_file).unwrap();
    assert!(service.reads_again());
    let token = service.token(as_role(Role::Warehouse));
    assert_eq!((asks(&token).await, asks(&new).await, asks(&revoked).await), (200, 200, 401));
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
