//! The signatures of tokens by *ring*, as TLS has them: one implementation of cryptography in the program.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{
    ED25519, Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Must have happened before the first token is made or read.
pub(super) fn install() {
    // Whoever is second finds it installed.
    let _ = PROVIDER.install_default();
}

struct Ed25519(Ed25519KeyPair);

impl Signer<Vec<u8>> for Ed25519 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Ed25519 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if *algorithm != Algorithm::EdDSA {
        return Err(ErrorKind::UnsupportedAlgorithm.into());
    }
    let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes());
    Ok(Box::new(Ed25519(pair.map_err(|_| ErrorKind::InvalidEddsaKey)?)))
}

struct Verifies {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Verifies {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let verified = match self.key.kind() {
            DecodingKeyKind::SecretOrDer(public) if self.algorithm == Algorithm::EdDSA => {
                UnparsedPublicKey::new(&ED25519, public).verify(message, signature)
            }
            DecodingKeyKind::RsaModulusExponent { n, e } if self.algorithm == Algorithm::RS256 => {
                RsaPublicKeyComponents { n, e }.verify(
                    &RSA_PKCS1_2048_8192_SHA256,
                    message,
                    signature,
                )
            }
            DecodingKeyKind::SecretOrDer(_) | DecodingKeyKind::RsaModulusExponent { .. } => {
                return Err(SignatureError::new());
            }
        };
        verified.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Verifies {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let is_ours = matches!(algorithm, Algorithm::EdDSA | Algorithm::RS256);
    if !is_ours || algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Verifies { algorithm: *algorithm, key: key.clone() }))
}
