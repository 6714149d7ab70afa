//! What a token says, RFC 9068, and whether that may be believed.

use super::issuers::Issuer;
use super::signing::Wanted;
use super::{How, Identity, Role, Scope, Why};
use chrono::{DateTime, Utc};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::AlgorithmParameters;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

/// Characters of a subject, as OpenID Connect bounds them.
const LONGEST_SUBJECT: usize = 255;

/// A public key, and the one algorithm that it is good for.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) decoding: DecodingKey,
    pub(super) algorithm: Algorithm,
    /// What another issuer published of it; two keys may have one id, one after the other.
    pub(super) published: Option<Arc<AlgorithmParameters>>,
}

/// By which key of another issuer a token was signed.
pub(super) struct Signer {
    pub(super) issuer: Arc<Issuer>,
    pub(super) id: String,
    pub(super) published: Option<Arc<AlgorithmParameters>>,
}

impl Signer {
    pub(super) fn is_published(&self) -> bool {
        self.issuer.publishes(&self.id, &self.published)
    }
}

/// Whose tokens these are, and what of them counts.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    /// Before each subject, so that nobody is taken for another issuer's; empty for the issuer inside.
    pub(super) name: String,
    pub(super) issuer: String,
    /// For whom they must be; one of the services below will do.
    pub(super) audience: String,
    /// By audience: what is for one of them alone.
    pub(super) services: BTreeMap<String, Arc<str>>,
    /// Where the roles and the customer's reference stand, as names with dots between them.
    pub(super) roles_claim: String,
    pub(super) customer_claim: String,
    /// The scopes that a token names are granted; else they only narrow what its roles give.
    pub(super) grants_scopes: bool,
    /// What kind of token its header may say that it is: a token that is good for something else is none of access
    /// (RFC 8725, section 3.11). None: it says nothing.
    pub(super) kinds: &'static [Option<&'static str>],
}

/// What our own tokens are, RFC 9068.
pub(super) const KIND: &str = "at+jwt";
/// Many issuers call every token a JWT, or nothing.
pub(super) const USUAL_KINDS: &[Option<&str>] = &[None, Some("jwt"), Some(KIND)];

impl Trust {
    /// Media types are the same in capitals, and `application/` may be left out (RFC 7515, section 4.1.9).
    fn takes(&self, kind: Option<&str>) -> bool {
        let kind = kind.map(str::to_ascii_lowercase);
        let kind = kind.as_deref().map(|it| it.strip_prefix("application/").unwrap_or(it));
        self.kinds.contains(&kind)
    }
}

/// What our own tokens say.
#[derive(Serialize)]
pub(super) struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: String,
    roles: BTreeSet<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Acting>,
}

/// RFC 8693, section 4.1.
#[derive(Serialize, Deserialize)]
struct Acting {
    sub: String,
}

impl Claims {
    pub(super) fn of(wanted: &Wanted, now: DateTime<Utc>, id: String) -> Self {
        let now = now.timestamp();
        let lives = wanted.lives.min(super::signing::LONGEST_TOKEN).as_secs();
        let scopes: Vec<_> = wanted.scopes.iter().map(|it| it.as_str()).collect();
        Claims {
            iss: wanted.issuer.clone(),
            sub: wanted.subject.clone(),
            aud: wanted.audience.clone(),
            exp: now.saturating_add_unsigned(lives),
            nbf: now,
            iat: now,
            jti: id,
            roles: wanted.roles.iter().map(|it| it.as_str()).collect(),
            scope: scopes.join(" "),
            customer: wanted.customer.clone(),
            act: wanted.acting.clone().map(|sub| Acting { sub }),
        }
    }
}

/// Whom a token is of, and until when, in seconds of Unix.
pub(super) struct Believed {
    pub(super) identity: Arc<Identity>,
    pub(super) until: i64,
    /// If it is another issuer's.
    pub(super) signer: Option<Signer>,
}

#[derive(Deserialize)]
struct Told {
    sub: String,
    exp: f64,
    scope: Option<String>,
    act: Option<Acting>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Checks the signature first, then everything else that a token says of itself.
pub(super) fn believe(token: &str, key: &Key, trust: &Trust, skew_s: u64) -> Result<Believed, Why> {
    let mut validation = Validation::new(key.algorithm);
    validation.leeway = skew_s;
    validation.validate_nbf = true;
    validation.set_issuer(&[&trust.issuer]);
    let audiences: Vec<_> = trust.services.keys().chain([&trust.audience]).collect();
    validation.set_audience(&audiences);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let token = decode::<Told>(token, &key.decoding, &validation).map_err(why)?;
    let (header, told) = (token.header, token.claims);
    if !trust.takes(header.typ.as_deref()) {
        return Err(Why::WrongKind);
    }
    let until = (told.exp as i64).saturating_add_unsigned(skew_s);
    Ok(Believed { identity: Arc::new(identity(told, trust)?), until, signer: None })
}

fn identity(told: Told, trust: &Trust) -> Result<Identity, Why> {
    let within = |name: &str| {
        let mut names = name.split('.');
        let first = told.others.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    };
    // A role that we do not know is some other program's.
    let roles = within(&trust.roles_claim).map(words).unwrap_or_default();
    let roles: BTreeSet<Role> = roles.iter().filter_map(|it| Role::from_str(it).ok()).collect();
    let named = told.scope.as_deref().unwrap_or_default().split(' ');
    let named: BTreeSet<Scope> = named.filter_map(|it| it.parse().ok()).collect();
    let mut scopes: BTreeSet<Scope> = roles.iter().flat_map(|it| it.scopes()).copied().collect();
    if trust.grants_scopes {
        scopes.extend(named);
    } else if !named.is_empty() {
        scopes.retain(|it| named.contains(it));
    }
    let only_at = told.others.get("aud").and_then(Value::as_str);
    let only_at = only_at.and_then(|audience| trust.services.get(audience)).cloned();
    // Services take each other's word for what has happened: what they show is made for one of them, and not elsewhere.
    if only_at.is_none() {
        scopes.remove(&Scope::COMMANDS_SEND);
    }
    let customer = within(&trust.customer_claim);
    let customer = customer.map(|it| it.as_str().ok_or(Why::BadClaims)).transpose()?;
    let customer = customer.map(|it| named_well(it).map(Arc::from)).transpose()?;
    Ok(Identity {
        subject: qualified(&trust.name, &told.sub)?,
        roles,
        scopes,
        customer,
        acting: told.act.map(|acting| qualified(&trust.name, &acting.sub)).transpose()?,
        only_at,
        how: How::Token,
    })
}

/// `["a", "b"]`, or `"a b"`.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => text.split(' ').collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// It goes into headers and into the log.
fn named_well(text: &str) -> Result<&str, Why> {
    let fits = (1..=LONGEST_SUBJECT).contains(&text.len());
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && is_visible { Ok(text) } else { Err(Why::BadClaims) }
}

/// What stands before a slash is whose subject it is, so that nobody is taken for another's.
fn qualified(name: &str, subject: &str) -> Result<Arc<str>, Why> {
    let subject = named_well(subject)?;
    match (name, subject.contains('/')) {
        ("", true) => Err(Why::BadClaims),
        ("", false) => Ok(subject.into()),
        (name, _) => Ok(format!("{name}/{subject}").into()),
    }
}

fn why(error: Error) -> Why {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's and may grow")]
    match error.into_kind() {
        ErrorKind::InvalidSignature => Why::BadSignature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Why::WrongAlgorithm,
        ErrorKind::InvalidIssuer => Why::WrongIssuer,
        ErrorKind::InvalidAudience => Why::WrongAudience,
        ErrorKind::ExpiredSignature => Why::Expired,
        ErrorKind::ImmatureSignature => Why::NotYetValid,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Why::BadClaims,
        _ => Why::Malformed,
    }
}
