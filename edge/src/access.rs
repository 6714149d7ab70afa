//! Who may do what.
//!
//! A route says which [`Permission`] it takes (its row in the table of [`Routes`](crate::Routes)), an [`Identity`] says
//! what its caller may, and a guard before each endpoint compares the two. What has not been permitted is refused.
//!
//! Callers show who they are with a token of the issuer inside ([`SigningKeys`]), one of another issuer
//! ([`IssuerSettings`]), or an API key ([`api_keys`]). What is trusted stands in files that may change at any time.

mod scope;
mod role;
mod permission;
mod why;
mod identity;
mod ring;
mod file;
mod token;
mod signing;
pub mod api_keys;
mod issuers;
mod credentials;
mod throttle;
mod identify;
mod reload;
mod service;
mod stay;
pub(crate) mod guard;

pub use credentials::{AccessError, AccessSettings};
pub use file::SecretFileError;
pub use guard::OnlyOf;
pub(crate) use identify::Unknown;
pub use identity::{How, Identity};
pub use issuers::{IssuerSettings, read_issuers};
pub use permission::Permission;
pub use reload::NewTrust;
pub use role::Role;
pub use scope::Scope;
pub use signing::{LONGEST_TOKEN, SigningKeys, Wanted};
pub use stay::Stay;
pub use why::Why;

use crate::{Problem, Routes, clock};
use async_trait::async_trait;
use axum::{Json, extract::State};
use credentials::Credentials;
use guard::Guard;
use http::{HeaderName, HeaderValue, header};
use quick_cache::sync::Cache;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use throttle::Throttle;
use token::{Believed, Signer};
use tokio::sync::watch;

/// Whether callers are asked who they are. Clones share it.
#[derive(Clone, Default)]
pub struct Access {
    inner: Option<Arc<Inner>>,
    owners: Option<Arc<dyn Owners>>,
}

struct Inner {
    settings: AccessSettings,
    /// Told to those who stay when it changes.
    credentials: watch::Sender<Arc<Credentials>>,
    /// Tokens that were believed, by their hash: a signature is checked once.
    known: Cache<[u8; 32], Arc<Known>>,
    throttle: Throttle,
    /// By this process itself to services that it asks.
    shown: Mutex<Vec<service::Shown>>,
}

struct Known {
    identity: Arc<Identity>,
    until: i64,
    /// Under which it was believed; what is believed under others may be another thing.
    credentials: Arc<Credentials>,
    /// If it is another issuer's.
    signer: Option<Signer>,
}

impl Known {
    /// Whether it would be believed again, but for its age.
    fn is_in_force(&self, credentials: &Arc<Credentials>) -> bool {
        let is_published = self.signer.as_ref().is_none_or(Signer::is_published);
        is_published && Arc::ptr_eq(&self.credentials, credentials)
    }
}

/// Says whose a thing is.
#[async_trait]
pub trait Owners: Send + Sync {
    /// The reference of the customer whose order has this id, as it stands in a path. None if there is no such order, or
    /// it is nobody's.
    async fn owner(&self, id: &str) -> Result<Option<Arc<str>>, Problem>;
}

/// Bounds of what is remembered and asked to know who asks.
#[derive(Clone, Copy, Debug)]
pub struct AccessLimits {
    /// Tokens that are remembered.
    pub tokens: usize,
    /// So much may the clocks of issuers differ from ours.
    pub skew_s: u64,
    /// So many wrong credentials from one address in one window; then unknown ones are not looked at any more.
    pub failures: u32,
    pub window: Duration,
    /// Addresses that are remembered.
    pub addresses: usize,
    /// Until an issuer must have answered.
    pub fetch: Duration,
    /// An issuer is not asked again sooner for a key that is unknown.
    pub refetch: Duration,
    /// Keys of an issuer are fetched again when they are older.
    pub refresh: Duration,
}

impl Default for AccessLimits {
    fn default() -> Self {
        AccessLimits {
            tokens: 10_000,
            skew_s: 30,
            failures: 20,
            window: Duration::from_secs(60),
            addresses: 10_000,
            fetch: Duration::from_secs(5),
            refetch: Duration::from_secs(10),
            refresh: Duration::from_secs(600),
        }
    }
}

impl Access {
    /// Everybody who can reach the process may do everything, as `local`.
    #[must_use]
    pub fn off() -> Self {
        describe();
        Access::default()
    }

    /// Nobody may do anything but what his [`Identity`] permits. A key of our own is made if there is none.
    ///
    /// # Errors
    /// If a file cannot be read or written, or is not what it should be.
    pub fn on(settings: AccessSettings) -> Result<Self, AccessError> {
        describe();
        SigningKeys::ensure(&settings.keys_file, clock::now())?;
        let credentials = watch::Sender::new(Arc::new(Credentials::read(&settings, None)?));
        let AccessLimits { tokens, failures, window, addresses, .. } = settings.limits;
        let (known, throttle) = (Cache::new(tokens), Throttle::new(failures, window, addresses));
        let shown = Mutex::default();
        let inner = Inner { settings, credentials, known, throttle, shown };
        Ok(Access { inner: Some(Arc::new(inner)), owners: None })
    }

    /// The same, which asks here whose a thing is.
    #[must_use]
    pub fn owned(self, owners: Arc<dyn Owners>) -> Self {
        Access { owners: Some(owners), ..self }
    }

    #[must_use]
    pub fn is_off(&self) -> bool {
        self.inner.is_none()
    }

    pub(crate) fn guard(&self, permission: Permission) -> Guard {
        Guard { permission, owners: self.owners.clone() }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_off() { "Access::off" } else { "Access::on" })
    }
}

/// What has not happened yet is shown as nought.
fn describe() {
    for why in Why::ALL {
        metrics::counter!("daybook_auth_refused_total", "why" => why.as_str()).increment(0);
    }
    for outcome in ["ok", "failed"] {
        metrics::counter!("daybook_auth_jwks_fetched_total", "outcome" => outcome).increment(0);
    }
    metrics::gauge!("daybook_auth_tokens_known").set(0);
}

impl Inner {
    fn credentials(&self) -> Arc<Credentials> {
        self.credentials.borrow().clone()
    }

    fn replace(&self, credentials: Credentials) {
        self.credentials.send_replace(Arc::new(credentials));
        self.known.clear();
        self.show_known();
    }

    fn show_known(&self) {
        metrics::gauge!("daybook_auth_tokens_known").set(self.known.len() as f64);
    }

    /// Whose credential it is.
    async fn find(&self, credential: &str, address: Option<IpAddr>) -> Result<Arc<Known>, Unknown> {
        let credentials = self.credentials();
        let hash: [u8; 32] = Sha256::digest(credential.as_bytes()).into();
        let known = self.known.get(&hash);
        if let Some(known) = known.filter(|it| it.is_in_force(&credentials)) {
            let is_valid = clock::now().timestamp() < known.until;
            let expired = Unknown { why: Why::Expired, waits: None };
            return if is_valid { Ok(known) } else { Err(expired) };
        }
        if let Some(waits) = address.and_then(|it| self.throttle.waits(it)) {
            return Err(Unknown { why: Why::Throttled, waits: Some(waits) });
        }
        match credentials.believe(credential).await {
            Ok(believed) => {
                let Believed { identity, until, signer } = believed;
                let known = Arc::new(Known { identity, until, credentials, signer });
                self.known.insert(hash, known.clone());
                self.show_known();
                Ok(known)
            }
            Err(why) => {
                if let Some(address) = address.filter(|_| why.is_a_guess()) {
                    self.throttle.failed(address);
                }
                Err(Unknown { why, waits: None })
            }
        }
    }
}

/// The keys by which others verify our tokens.
pub fn routes() -> Routes<Access> {
    Routes::new().get("/.well-known/jwks.json", Permission::Open, jwks)
}

async fn jwks(State(access): State<Access>) -> ([(HeaderName, HeaderValue); 1], Json<Value>) {
    let keys = access.inner.map_or_else(|| json!({"keys": []}), |it| it.credentials().jwks());
    let fresh = HeaderValue::from_static("public, max-age=60");
    ([(header::CACHE_CONTROL, fresh)], Json(keys))
}
