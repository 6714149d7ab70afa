//! API keys for machines: random, shown once, kept as their hash.

use super::file::{self, SecretFileError, hex, random};
use super::{How, Identity, Role, Scope};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// What every key begins with, so that whoever finds one knows what it is.
pub(super) const PREFIX: &str = "dbk_";

/// The keys that are accepted, by their hash.
#[derive(Clone, Default)]
pub struct ApiKeys {
    keys: HashMap<String, Arc<Identity>>,
}

/// A key as it is stored and listed; the key itself is nowhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    pub id: String,
    /// Of the machine that has it.
    pub name: String,
    pub roles: BTreeSet<String>,
    pub scopes: BTreeSet<String>,
    pub customer: Option<String>,
    pub made_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// SHA-256 in hex. A key has 256 random bits: nobody finds one by trying.
    sha256: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    keys: Vec<ApiKey>,
}

/// What a new key may do, and whose it is.
#[derive(Clone, Debug)]
pub struct WantedKey {
    pub name: String,
    pub roles: BTreeSet<Role>,
    pub scopes: BTreeSet<Scope>,
    pub customer: Option<String>,
}

impl ApiKey {
    /// What may be shown of it: all but the hash.
    #[must_use]
    pub fn shown(&self) -> Value {
        let ApiKey { id, name, roles, scopes, customer, made_at, revoked_at, sha256: _ } = self;
        json!({
            "id": id, "name": name, "roles": roles, "scopes": scopes, "customer": customer,
            "made_at": made_at, "revoked_at": revoked_at,
        })
    }
}

impl ApiKeys {
    /// Those in the file that are not revoked; there are none if it is not there.
    ///
    /// # Errors
    /// If the file cannot be read, may be read by everybody, or does not hold keys.
    pub fn read(path: &Path) -> Result<Self, SecretFileError> {
        let mut keys = HashMap::new();
        for key in list(path)?.into_iter().filter(|key| key.revoked_at.is_none()) {
            let identity = identity(&key);
            let identity = identity.map_err(|what| SecretFileError::form(path, what))?;
            keys.insert(key.sha256, Arc::new(identity));
        }
        Ok(ApiKeys { keys })
    }

    /// Keeps those that are among these too, as they are; gives whether it had others.
    pub(super) fn keep(&mut self, these: &Self) -> bool {
        let before = self.keys.len();
        self.keys.retain(|hash, identity| these.keys.get(hash) == Some(identity));
        self.keys.len() < before
    }

    pub(super) fn find(&self, key: &str) -> Option<&Arc<Identity>> {
        self.keys.get(&hashed(key))
    }
}

/// Every key that there was, revoked ones too.
///
/// # Errors
/// As [`ApiKeys::read`].
pub fn list(path: &Path) -> Result<Vec<ApiKey>, SecretFileError> {
    let stored: Option<Stored> = file::read(path)?;
    Ok(stored.unwrap_or_default().keys)
}

/// Makes a key and gives it, for the only time.
///
/// # Errors
/// As [`ApiKeys::read`], or if the file cannot be written.
pub fn create(
    path: &Path,
    wanted: WantedKey,
    now: DateTime<Utc>,
) -> Result<(ApiKey, String), SecretFileError> {
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<32>()));
    let key = ApiKey {
        id: hex(&random::<4>()),
        name: wanted.name,
        roles: wanted.roles.iter().map(ToString::to_string).collect(),
        scopes: wanted.scopes.iter().map(ToString::to_string).collect(),
        customer: wanted.customer,
        made_at: now,
        revoked_at: None,
        sha256: hashed(&secret),
    };
    let _lock = file::lock(path)?;
    let mut keys = list(path)?;
    keys.push(key.clone());
    file::write(path, &Stored { keys })?;
    Ok((key, secret))
}

/// Revokes the key with this id; whether there was one that was not revoked.
///
/// # Errors
/// As [`create`].
pub fn revoke(path: &Path, id: &str, now: DateTime<Utc>) -> Result<bool, SecretFileError> {
    let _lock = file::lock(path)?;
    let mut keys = list(path)?;
    let found = keys.iter_mut().find(|key| key.id == id && key.revoked_at.is_none());
    let Some(found) = found else { return Ok(false) };
    found.revoked_at = Some(now);
    file::write(path, &Stored { keys })?;
    Ok(true)
}

fn hashed(key: &str) -> String {
    hex(digest(&SHA256, key.as_bytes()).as_ref())
}

fn identity(key: &ApiKey) -> Result<Identity, String> {
    let roles: Result<BTreeSet<Role>, _> = key.roles.iter().map(|it| it.parse()).collect();
    let roles = roles.map_err(|error| error.to_string())?;
    let named: Result<BTreeSet<Scope>, _> = key.scopes.iter().map(|it| it.parse()).collect();
    let mut scopes = named.map_err(|error| error.to_string())?;
    scopes.extend(roles.iter().flat_map(|it| it.scopes()));
    // Services show each other tokens, and nothing that lives longer.
    scopes.remove(&Scope::COMMANDS_SEND);
    Ok(Identity {
        subject: format!("key/{}", key.name).into(),
        roles,
        scopes,
        customer: key.customer.as_deref().map(Into::into),
        acting: None,
        only_at: None,
        how: How::ApiKey,
    })
}
