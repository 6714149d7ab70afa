//! Issuers of tokens elsewhere: what is configured of them, and their keys by OpenID Connect Discovery 1.0.

use super::file::SecretFileError;
use super::token::{Key, Trust, USUAL_KINDS};
use super::{AccessLimits, Why};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::time::Instant;

/// Of a discovery document or a key set; real ones have a few thousand.
const LONGEST_ANSWER: usize = 1 << 20;

/// What is configured of one issuer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// Stands before each of its subjects.
    pub name: String,
    /// Just as its tokens say it.
    pub issuer: String,
    pub audience: String,
    #[serde(default = "roles_claim")]
    pub roles_claim: String,
    #[serde(default = "customer_claim")]
    pub customer_claim: String,
}

fn roles_claim() -> String {
    "roles".to_owned()
}

fn customer_claim() -> String {
    "customer".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default)]
    issuer: Vec<IssuerSettings>,
}

/// The issuers in a file; there are none if it is not there.
///
/// # Errors
/// If the file cannot be read, or an issuer cannot be trusted as it is configured.
pub fn read_issuers(path: &Path) -> Result<Vec<IssuerSettings>, SecretFileError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(SecretFileError::Read { path: path.to_owned(), source }),
    };
    let wrong = |what: String| SecretFileError::form(path, what);
    let stored: Stored = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let (mut names, mut issuers) = (BTreeSet::from(["key"]), BTreeSet::new());
    for issuer in &stored.issuer {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if issuer.name.is_empty() || !issuer.name.chars().all(plain) {
            return Err(wrong(format!("`{}` is no name of an issuer", issuer.name)));
        }
        if !names.insert(&issuer.name) || !issuers.insert(&issuer.issuer) {
            return Err(wrong(format!("`{}` is there twice, or taken", issuer.name)));
        }
        if issuer.audience.is_empty() || !may_be_asked(&issuer.issuer) {
            let what = "needs an audience, and an https:// address (http:// on loopback alone)";
            return Err(wrong(format!("`{}` {what}", issuer.name)));
        }
    }
    Ok(stored.issuer)
}

/// Keys that came over an open line could be anybody's.
fn may_be_asked(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here =
        host == "localhost" || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback());
    url.scheme() == "https" || url.scheme() == "http" && is_here
}

/// One issuer, with the keys that it had when it was asked last.
pub(super) struct Issuer {
    pub(super) settings: IssuerSettings,
    pub(super) trust: Trust,
    client: Client,
    limits: AccessLimits,
    keys: RwLock<Option<Arc<HashMap<String, Key>>>>,
    /// When it was asked last; whoever asks holds it.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Issuer {
    pub(super) fn new(
        settings: IssuerSettings,
        limits: AccessLimits,
    ) -> Result<Self, reqwest::Error> {
        // One provider of cryptography serves the process; whoever is first installs it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client =
            Client::builder().timeout(limits.fetch).redirect(redirect::Policy::none()).build()?;
        let trust = Trust {
            name: settings.name.clone(),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            services: BTreeMap::new(),
            roles_claim: settings.roles_claim.clone(),
            customer_claim: settings.customer_claim.clone(),
            grants_scopes: false,
            kinds: USUAL_KINDS,
        };
        let (keys, asked) = (RwLock::default(), tokio::sync::Mutex::default());
        Ok(Issuer { settings, trust, client, limits, keys, asked })
    }

    /// The key with this id. For one that is not known the issuer is asked, but not again and again; and what is old
    /// is fetched again in time, so that keys that were withdrawn are forgotten.
    pub(super) async fn key(self: &Arc<Self>, id: &str) -> Result<Key, Why> {
        if let Some(key) = self.known().as_ref().and_then(|keys| keys.get(id)) {
            self.refresh_in_time();
            return Ok(key.clone());
        }
        self.ask(self.limits.refetch).await;
        let known = self.known().ok_or(Why::IssuerAway)?;
        known.get(id).cloned().ok_or(Why::UnknownKey)
    }

    /// Whether it still publishes the very key that it had.
    pub(super) fn publishes(
        self: &Arc<Self>,
        id: &str,
        key: &Option<Arc<AlgorithmParameters>>,
    ) -> bool {
        self.refresh_in_time();
        self.known().is_some_and(|keys| keys.get(id).is_some_and(|now| now.published == *key))
    }

    fn known(&self) -> Option<Arc<HashMap<String, Key>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refresh_in_time(self: &Arc<Self>) {
        let is_old = |asked: &Option<Instant>| {
            asked.is_none_or(|asked| asked.elapsed() > self.limits.refresh)
        };
        if self.asked.try_lock().is_ok_and(|asked| is_old(&asked)) {
            let issuer = self.clone();
            tokio::spawn(async move { issuer.ask(issuer.limits.refresh).await });
        }
    }

    /// Fetches the keys, unless somebody did just now. Those that there are stay if that fails.
    async fn ask(&self, not_sooner: std::time::Duration) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < not_sooner) {
            return;
        }
        *asked = Some(Instant::now());
        let name = &*self.settings.name;
        let fetched = self.fetch().await;
        let outcome = if fetched.is_ok() { "ok" } else { "failed" };
        metrics::counter!("daybook_auth_jwks_fetched_total", "outcome" => outcome).increment(1);
        match fetched {
            Ok(keys) => {
                tracing::info!(issuer = name, keys = keys.len(), "the keys of an issuer are here");
                let keys = Some(Arc::new(keys));
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
            }
            Err(error) => {
                tracing::warn!(issuer = name, error, "the keys of an issuer cannot be fetched");
            }
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, Key>, String> {
        #[derive(Deserialize)]
        struct Discovered {
            issuer: String,
            jwks_uri: String,
        }
        #[derive(Deserialize)]
        struct KeySet {
            keys: Vec<Value>,
        }
        let base = self.settings.issuer.trim_end_matches('/');
        let found: Discovered =
            self.get(&format!("{base}/.well-known/openid-configuration")).await?;
        if found.issuer != self.settings.issuer {
            return Err("it calls itself another issuer".to_owned());
        }
        if !may_be_asked(&found.jwks_uri) {
            return Err("its keys would come over an open line".to_owned());
        }
        let set: KeySet = self.get(&found.jwks_uri).await?;
        Ok(set.keys.into_iter().filter_map(usable).collect())
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let response = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let mut response = response.error_for_status().map_err(|error| error.to_string())?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err("its answer has no end".to_owned());
            }
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }
}

/// A key that signs in one of our algorithms; which one is settled here, and never by a token.
fn usable(jwk: Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let fitting = |algorithm| jwk.common.key_algorithm.is_none_or(|it| it == algorithm);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's and may grow")]
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) if fitting(KeyAlgorithm::RS256) => Algorithm::RS256,
        AlgorithmParameters::OctetKeyPair(pair)
            if pair.curve == EllipticCurve::Ed25519 && fitting(KeyAlgorithm::EdDSA) =>
        {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    let published = Some(Arc::new(jwk.algorithm));
    Some((jwk.common.key_id?, Key { decoding, algorithm, published }))
}
