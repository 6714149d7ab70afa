//! What is trusted just now: the keys inside, other issuers, API keys; all from files, which may change.

use super::api_keys::{ApiKeys, PREFIX};
use super::file::SecretFileError;
use super::issuers::{Issuer, IssuerSettings, read_issuers};
use super::signing::SigningKeys;
use super::token::{Believed, KIND, Key, Signer, Trust, believe};
use super::{AccessLimits, Why};
use crate::Proxies;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, decode_header};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// Where that stands, and how our own tokens call us.
#[derive(Clone, Debug)]
pub struct AccessSettings {
    pub keys_file: PathBuf,
    pub api_keys_file: PathBuf,
    pub issuers_file: PathBuf,
    pub issuer: String,
    pub audience: String,
    /// Which services this process is: a token that is for one of them is for no other.
    pub services: Vec<String>,
    /// Who is believed about who guesses.
    pub proxies: Proxies,
    pub limits: AccessLimits,
}

impl AccessSettings {
    /// For whom a token is that is good at one service alone.
    pub(super) fn audience_of(&self, service: &str) -> String {
        format!("{}/{service}", self.audience)
    }

    fn services_by_audience(&self) -> BTreeMap<String, Arc<str>> {
        self.services.iter().map(|it| (self.audience_of(it), it.as_str().into())).collect()
    }
}

/// Why it cannot be trusted as it stands in the files.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error("the client that asks issuers for their keys cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Never changed: another file makes other credentials.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) signing: SigningKeys,
    own: HashMap<String, Key>,
    trust: Trust,
    pub(super) api_keys: ApiKeys,
    issuers: Vec<Arc<Issuer>>,
    skew_s: u64,
}

impl Credentials {
    /// Issuers that are configured as they were keep the keys that they have.
    pub(super) fn read(
        settings: &AccessSettings,
        before: Option<&Credentials>,
    ) -> Result<Self, AccessError> {
        super::ring::install();
        let signing = SigningKeys::read(&settings.keys_file)?;
        let api_keys = ApiKeys::read(&settings.api_keys_file)?;
        let known = |issuer: &IssuerSettings| {
            before?.issuers.iter().find(|it| it.settings == *issuer).cloned()
        };
        let issuers = read_issuers(&settings.issuers_file)?.into_iter().map(|issuer| {
            known(&issuer).map_or_else(|| Issuer::new(issuer, settings.limits).map(Arc::new), Ok)
        });
        let issuers = issuers.collect::<Result<_, _>>().map_err(AccessError::Client)?;
        let trust = Trust {
            name: String::new(),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            services: settings.services_by_audience(),
            roles_claim: "roles".to_owned(),
            customer_claim: "customer".to_owned(),
            grants_scopes: true,
            kinds: &[Some(KIND)],
        };
        let (own, skew_s) = (signing.verifying(), settings.limits.skew_s);
        Ok(Credentials { signing, own, trust, api_keys, issuers, skew_s })
    }

    /// What is left of it, if the files that can be read do not have all of it any more.
    pub(super) fn left(&self, settings: &AccessSettings) -> Option<Self> {
        let (mut left, mut is_less) = (self.clone(), false);
        if let Ok(now) = SigningKeys::read(&settings.keys_file) {
            is_less |= left.signing.keep(&now);
            left.own = left.signing.verifying();
        }
        if let Ok(now) = ApiKeys::read(&settings.api_keys_file) {
            is_less |= left.api_keys.keep(&now);
        }
        if let Ok(now) = read_issuers(&settings.issuers_file) {
            left.issuers.retain(|issuer| now.contains(&issuer.settings));
            is_less |= left.issuers.len() < self.issuers.len();
        }
        is_less.then_some(left)
    }

    pub(super) fn jwks(&self) -> Value {
        self.signing.jwks()
    }

    pub(super) async fn believe(&self, token: &str) -> Result<Believed, Why> {
        #[derive(Deserialize)]
        struct Issued {
            iss: String,
        }
        if token.starts_with(PREFIX) {
            let identity = self.api_keys.find(token).cloned().ok_or(Why::UnknownApiKey)?;
            return Ok(Believed { identity, until: i64::MAX, signer: None });
        }
        let header = decode_header(token).map_err(|_| Why::Malformed)?;
        if !matches!(header.alg, Algorithm::EdDSA | Algorithm::RS256) {
            return Err(Why::WrongAlgorithm);
        }
        let id = header.kid.ok_or(Why::UnknownKey)?;
        let issued: Issued = insecure_decode_claims(token).map_err(|_| Why::Malformed)?;
        let (key, trust, issuer) = if issued.iss == self.trust.issuer {
            (self.own.get(&id).cloned().ok_or(Why::UnknownKey)?, &self.trust, None)
        } else {
            let issuer = self.issuers.iter().find(|it| it.trust.issuer == issued.iss);
            let issuer = issuer.ok_or(Why::WrongIssuer)?;
            (issuer.key(&id).await?, &issuer.trust, Some(issuer.clone()))
        };
        if header.alg != key.algorithm {
            return Err(Why::WrongAlgorithm);
        }
        let believed = believe(token, &key, trust, self.skew_s)?;
        let published = key.published;
        Ok(Believed { signer: issuer.map(|issuer| Signer { issuer, id, published }), ..believed })
    }
}
