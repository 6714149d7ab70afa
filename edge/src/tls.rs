//! TLS at the door, and towards others: made of certificates and keys in files, and made anew when those change.

mod by_sight;

use by_sight::BySight;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

/// Where a service's certificate and key are, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the service's own certificate first.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authorities of callers: with them everybody must show a certificate that one of them has signed.
    pub callers: Option<PathBuf>,
}

/// Why TLS cannot be spoken. Nothing of what stands in a file is told.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {why}", path.display())]
    Read { path: PathBuf, why: String },
    #[error("there is no certificate in {}", .0.display())]
    Empty(PathBuf),
    #[error("the certificate in {} does not go with its key, or neither can be used", path.display())]
    Pair { path: PathBuf, source: rustls::Error },
    #[error("the authorities in {} cannot be used: {why}", path.display())]
    Authorities { path: PathBuf, why: String },
    #[error("this build cannot speak TLS")]
    Protocol(#[source] rustls::Error),
}

/// What the door shows and asks for. Clones share it, and it may be set to something else at any time.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Tls(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// Who comes from now on is shown this. Connections that are open stay as they are.
    pub fn set(&self, config: ServerConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl TlsFiles {
    /// What a door shows and asks for.
    ///
    /// # Errors
    /// If a file is missing, or holds what cannot be used.
    pub fn server(&self) -> Result<ServerConfig, TlsError> {
        let config = ServerConfig::builder_with_provider(provider());
        let config = config.with_safe_default_protocol_versions().map_err(TlsError::Protocol)?;
        let config = match &self.callers {
            None => config.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = verifier.build().map_err(|error| unfit(path, &error))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let mut config = config.with_cert_resolver(Arc::new(self.pair()?));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn pair(&self) -> Result<SingleCertAndKey, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|it| unread(&self.key, &it))?;
        let unfit = |source| TlsError::Pair { path: self.certificate.clone(), source };
        Ok(CertifiedKey::from_der(chain, key, &provider()).map_err(unfit)?.into())
    }
}

/// How others are spoken to over TLS: whom of them to trust, and what to show them.
///
/// # Errors
/// If a file is missing, or holds what cannot be used.
pub fn client(trusted: &Path, own: Option<&TlsFiles>) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider());
    let config = config.with_safe_default_protocol_versions().map_err(TlsError::Protocol)?;
    let config = config.with_root_certificates(authorities(trusted)?);
    Ok(match own {
        None => config.with_no_client_auth(),
        Some(own) => config.with_client_cert_resolver(Arc::new(own.pair()?)),
    })
}

/// How a service is spoken to by whoever has its certificate: it is known by that, under whatever name it is called, as
/// `0.0.0.0` is in nobody's certificate. Another certificate must be signed by one of `others`, for the name it is called
/// by.
///
/// # Errors
/// If a file is missing, or holds what cannot be used.
pub fn client_of(
    certificate: &Path,
    others: Option<&Path>,
    own: Option<&TlsFiles>,
) -> Result<ClientConfig, TlsError> {
    let known = certificates(certificate)?.swap_remove(0);
    let others = others.map(|path| Ok((path, authorities(path)?))).transpose()?;
    let verifier = BySight::new(known, others)?;
    let config = ClientConfig::builder_with_provider(provider());
    let config = config.with_safe_default_protocol_versions().map_err(TlsError::Protocol)?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match own {
        None => config.with_no_client_auth(),
        Some(own) => config.with_client_cert_resolver(Arc::new(own.pair()?)),
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unread(path, &error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| unread(path, &error))?;
    if found.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(found) }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unfit(path, &error))?;
    }
    Ok(roots)
}

fn unfit(path: &Path, error: &dyn std::error::Error) -> TlsError {
    TlsError::Authorities { path: path.to_owned(), why: error.to_string() }
}

/// The reader's own words may quote a line, which may be a key.
fn unread(path: &Path, error: &pem::Error) -> TlsError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's and may grow")]
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        _ => "it is no PEM".to_owned(),
    };
    TlsError::Read { path: path.to_owned(), why }
}
