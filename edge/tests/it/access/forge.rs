//! Tokens made by hand, as no library would make them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string()), base64(claims.to_string()))
}

/// The claims of a token, whoever signed it.
pub(super) fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

pub(super) fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = unsigned(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = base64(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

/// Signed by a key of the issuer inside, as its file has it, with a header of one's own.
pub(super) fn ed25519(key: &Value, header: &Value, claims: &Value) -> String {
    let private = STANDARD.decode(key["private"].as_str().unwrap()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(&private).unwrap();
    let message = unsigned(header, claims);
    format!("{message}.{}", base64(pair.sign(message.as_bytes())))
}

/// A key that is in this repository, and so protects nothing.
pub(super) struct Rsa(RsaKeyPair);

impl Rsa {
    pub(super) fn new() -> Self {
        Rsa(RsaKeyPair::from_pkcs8(include_bytes!("rs256.pk8")).unwrap())
    }

    pub(super) fn jwk(&self, id: &str) -> Value {
        let components = RsaPublicKeyComponents::<Vec<u8>>::from(self.0.public_key());
        let (n, e) = (base64(components.n), base64(components.e));
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": n, "e": e})
    }

    pub(super) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    pub(super) fn token(&self, id: &str, claims: &Value) -> String {
        self.headed(&json!({"alg": "RS256", "typ": "JWT", "kid": id}), claims)
    }

    /// With a header of one's own.
    pub(super) fn headed(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let mut signature = vec![0; self.0.public().modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", base64(signature))
    }
}
