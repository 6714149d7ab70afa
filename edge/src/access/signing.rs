//! The keys of the issuer inside: Ed25519, in a file of their own.

use super::file::{self, SecretFileError, hex, random};
use super::token::{Claims, KIND, Key};
use super::{Role, Scope};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

/// No token lives longer: for so long a key that was replaced is still published.
pub const LONGEST_TOKEN: Duration = Duration::from_secs(24 * 3600);
/// So long after a key was made, all who share the file have read of it.
const READ_BY_ALL: TimeDelta = TimeDelta::seconds(10);
/// Clocks may differ by so much, besides.
const SPARE: TimeDelta = TimeDelta::minutes(10);

/// The keys that sign tokens, and those that did not long ago.
#[derive(Clone)]
pub struct SigningKeys {
    keys: Vec<SigningKey>,
}

#[derive(Clone)]
struct SigningKey {
    id: String,
    public: Vec<u8>,
    pkcs8: Vec<u8>,
    made_at: DateTime<Utc>,
    replaced_at: Option<DateTime<Utc>>,
}

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub subject: String,
    pub roles: BTreeSet<Role>,
    /// Besides those of the roles.
    pub scopes: BTreeSet<Scope>,
    pub customer: Option<String>,
    /// Who acts for the subject, if not he himself.
    pub acting: Option<String>,
    pub issuer: String,
    pub audience: String,
    /// At most [`LONGEST_TOKEN`].
    pub lives: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    made_at: DateTime<Utc>,
    replaced_at: Option<DateTime<Utc>>,
    /// PKCS#8, RFC 8410, in base64.
    private: String,
}

impl SigningKeys {
    /// Those in the file; there are none if it is not there.
    ///
    /// # Errors
    /// If the file cannot be read, may be read by everybody, or does not hold keys.
    pub fn read(path: &Path) -> Result<Self, SecretFileError> {
        let stored: Option<Stored> = file::read(path)?;
        let stored = stored.map(|it| it.keys).unwrap_or_default();
        let keys = stored.into_iter().map(|key| SigningKey::of(key, path));
        Ok(SigningKeys { keys: keys.collect::<Result<_, _>>()? })
    }

    /// The same, with a first key if there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read), or if the file cannot be written.
    pub fn ensure(path: &Path, now: DateTime<Utc>) -> Result<Self, SecretFileError> {
        let keys = Self::read(path)?;
        if keys.newest().is_some() {
            return Ok(keys);
        }
        let _lock = file::lock(path)?;
        // Of several processes that start together one makes it.
        let keys = Self::read(path)?;
        if keys.newest().is_some() { Ok(keys) } else { keys.replaced(path, now) }
    }

    /// Signs with a new key from now on. Those before stay published until their tokens have expired.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure).
    pub fn rotate(path: &Path, now: DateTime<Utc>) -> Result<Self, SecretFileError> {
        let _lock = file::lock(path)?;
        Self::read(path)?.replaced(path, now)
    }

    /// The lock is held.
    fn replaced(self, path: &Path, now: DateTime<Utc>) -> Result<Self, SecretFileError> {
        let mut keys = self.keys;
        let expired = now - TimeDelta::from_std(LONGEST_TOKEN).unwrap_or_default() - SPARE;
        keys.retain(|key| key.replaced_at.is_none_or(|at| at > expired));
        for key in &mut keys {
            key.replaced_at.get_or_insert(now);
        }
        keys.push(SigningKey::made(path, now)?);
        let stored = Stored { keys: keys.iter().map(SigningKey::stored).collect() };
        file::write(path, &stored)?;
        Ok(SigningKeys { keys })
    }

    fn newest(&self) -> Option<&SigningKey> {
        self.keys.iter().rfind(|key| key.replaced_at.is_none())
    }

    /// The key of which all know already who share the file: for a while after it was replaced, the one before. It is still
    /// published.
    fn known_to_all(&self, now: DateTime<Utc>) -> Option<&SigningKey> {
        let known = self.keys.iter().rfind(|key| key.made_at + READ_BY_ALL <= now);
        known.or_else(|| self.newest())
    }

    /// Keeps those that are among these too; gives whether it had others.
    pub(super) fn keep(&mut self, these: &Self) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| these.keys.iter().any(|it| it.id == key.id));
        self.keys.len() < before
    }

    /// The id of the key that signs what is shown to others who share the file.
    pub(super) fn id_among_us(&self, now: DateTime<Utc>) -> Option<&str> {
        self.known_to_all(now).map(|key| &*key.id)
    }

    /// A token that is shown to others who share the file; none if there is no key.
    pub(super) fn token_among_us(&self, wanted: &Wanted, now: DateTime<Utc>) -> Option<String> {
        self.known_to_all(now)?.token(wanted, now)
    }

    /// The id of the key that signs.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.newest().map(|key| &*key.id)
    }

    /// A signed token; none if there is no key.
    #[must_use]
    pub fn token(&self, wanted: &Wanted, now: DateTime<Utc>) -> Option<String> {
        self.newest()?.token(wanted, now)
    }

    pub(super) fn verifying(&self) -> HashMap<String, Key> {
        let key = |key: &SigningKey| {
            let decoding = DecodingKey::from_ed_der(&key.public);
            (key.id.clone(), Key { decoding, algorithm: Algorithm::EdDSA, published: None })
        };
        self.keys.iter().map(key).collect()
    }

    /// The public halves, RFC 7517 and RFC 8037.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let jwk = |key: &SigningKey| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id,
                "x": URL_SAFE_NO_PAD.encode(&key.public),
            })
        };
        json!({"keys": self.keys.iter().map(jwk).collect::<Vec<_>>()})
    }
}

impl SigningKey {
    fn token(&self, wanted: &Wanted, now: DateTime<Utc>) -> Option<String> {
        super::ring::install();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.id.clone());
        header.typ = Some(KIND.to_owned());
        let claims = Claims::of(wanted, now, hex(&random::<16>()));
        encode(&header, &claims, &EncodingKey::from_ed_der(&self.pkcs8)).ok()
    }

    fn made(path: &Path, now: DateTime<Utc>) -> Result<Self, SecretFileError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let pkcs8 = pkcs8.expect("the system has a source of randomness").as_ref().to_vec();
        Self::from_pkcs8(pkcs8, now, None)
            .ok_or_else(|| SecretFileError::form(path, "a key that was just made"))
    }

    fn from_pkcs8(
        pkcs8: Vec<u8>,
        made_at: DateTime<Utc>,
        replaced_at: Option<DateTime<Utc>>,
    ) -> Option<Self> {
        let public = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?.public_key().as_ref().to_vec();
        let id = hex(&digest(&SHA256, &public).as_ref()[..8]);
        Some(SigningKey { id, public, pkcs8, made_at, replaced_at })
    }

    fn of(stored: StoredKey, path: &Path) -> Result<Self, SecretFileError> {
        let StoredKey { id, made_at, replaced_at, private } = stored;
        let pkcs8 = STANDARD.decode(private).ok();
        let key = pkcs8.and_then(|it| Self::from_pkcs8(it, made_at, replaced_at));
        let key = key.filter(|key| key.id == id);
        key.ok_or_else(|| SecretFileError::form(path, format!("the key {id}")))
    }

    fn stored(&self) -> StoredKey {
        StoredKey {
            id: self.id.clone(),
            made_at: self.made_at,
            replaced_at: self.replaced_at,
            private: STANDARD.encode(&self.pkcs8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{READ_BY_ALL, SigningKeys};
    use crate::clock;
    use chrono::TimeDelta;
    use std::thread;

    #[test]
    fn whoever_shares_the_file_is_shown_no_key_that_he_may_not_have_read_of() {
        let folder = tempfile::tempdir().unwrap();
        let (path, now) = (folder.path().join("keys"), clock::now());
        let keys = SigningKeys::ensure(&path, now).unwrap();
        let first = keys.id().unwrap().to_owned();
        assert_eq!(keys.id_among_us(now), Some(&*first), "there is no other");
        let later = now + TimeDelta::hours(1);
        let keys = SigningKeys::rotate(&path, later).unwrap();
        assert_ne!(keys.id(), Some(&*first));
        assert_eq!(keys.id_among_us(later + TimeDelta::seconds(9)), Some(&*first));
        assert_eq!(keys.id_among_us(later + READ_BY_ALL), keys.id());
    }

    #[test]
    fn of_those_who_start_together_one_makes_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let start = || SigningKeys::ensure(&path, clock::now()).unwrap().id().unwrap().to_owned();
        let ids: Vec<String> = thread::scope(|all| {
            let starting: Vec<_> = (0..8).map(|_| all.spawn(start)).collect();
            starting.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
