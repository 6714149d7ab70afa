//! TLS at the door, and towards others: certificates and keys from files, which are read again when they change.

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Where a service's certificate and key are, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the service's own certificate first.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authorities of callers: with them everybody must show a certificate that one of them has signed.
    pub callers: Option<PathBuf>,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("there is no certificate in {}", .0.display())]
    Empty(PathBuf),
    #[error("the certificate in {} does not go with its key, or neither can be used", path.display())]
    Pair { path: PathBuf, source: rustls::Error },
    #[error("the authorities in {} cannot be used: {why}", path.display())]
    Authorities { path: PathBuf, why: String },
    #[error("this build cannot speak TLS")]
    Protocol(#[source] rustls::Error),
}

/// What the door shows and asks for. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: TlsFiles,
    now: watch::Sender<Arc<ServerConfig>>,
    /// What the files held when they were last looked at.
    seen: Mutex<Seen>,
}

#[derive(PartialEq)]
struct Seen(Vec<Option<Vec<u8>>>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.files.fmt(f)
    }
}

impl Tls {
    /// # Errors
    /// If a file is missing, or holds what cannot be used.
    pub fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = Mutex::new(files.look());
        let now = watch::Sender::new(Arc::new(files.server()?));
        Ok(Tls(Arc::new(Inner { files, now, seen })))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.now.borrow().clone())
    }

    /// Looks at the files; true if they have changed, and who comes from now on is shown what they hold. Connections that
    /// are open stay as they are.
    ///
    /// # Errors
    /// If they cannot be used: what was in force stays so, and the same files are complained of once.
    pub fn look(&self) -> Result<bool, TlsError> {
        let found = self.0.files.look();
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found {
            return Ok(false);
        }
        *seen = found;
        drop(seen);
        self.0.now.send_replace(Arc::new(self.0.files.server()?));
        Ok(true)
    }

    /// Looks again and again, until stopped.
    pub async fn keep(self, every: Duration, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            match self.look() {
                Ok(false) => {}
                Ok(true) => tracing::info!(files = ?self, "the certificate was read again"),
                Err(error) => {
                    let why = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, why, "a new certificate cannot be used; the old one stays");
                }
            }
        }
    }
}

impl TlsFiles {
    fn look(&self) -> Seen {
        let files = [Some(&self.certificate), Some(&self.key), self.callers.as_ref()];
        Seen(files.into_iter().flatten().map(|path| std::fs::read(path).ok()).collect())
    }

    fn pair(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = certificates(&self.certificate)?;
        let read = |source| TlsError::Read { path: self.key.clone(), source };
        Ok((chain, PrivateKeyDer::from_pem_file(&self.key).map_err(read)?))
    }

    fn certified(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let (chain, key) = self.pair()?;
        let provider: CryptoProvider = rustls::crypto::ring::default_provider();
        let unfit = |source| TlsError::Pair { path: self.certificate.clone(), source };
        CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(unfit)
    }

    fn server(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone());
        let config = config.with_safe_default_protocol_versions().map_err(TlsError::Protocol)?;
        let config = match &self.callers {
            None => config.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let unfit = |error: rustls::server::VerifierBuilderError| TlsError::Authorities {
                    path: path.clone(),
                    why: error.to_string(),
                };
                config.with_client_cert_verifier(verifier.build().map_err(unfit)?)
            }
        };
        let (chain, key) = self.pair()?;
        let unfit = |source| TlsError::Pair { path: self.certificate.clone(), source };
        let mut config = config.with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// How others are spoken to over TLS: whom of them to trust, and what to show them.
///
/// # Errors
/// If a file is missing, or holds what cannot be used.
pub fn client(trusted: &Path, own: Option<&TlsFiles>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(TlsError::Protocol)?;
    let config = config.with_root_certificates(authorities(trusted)?);
    let Some(own) = own else { return Ok(config.with_no_client_auth()) };
    let last = Mutex::new(own.certified()?);
    Ok(config.with_client_cert_resolver(Arc::new(Own { files: own.clone(), last })))
}

/// What is shown to others. Connections are few and last: at each the files are read again.
#[derive(Debug)]
struct Own {
    files: TlsFiles,
    /// The last that could be used.
    last: Mutex<Arc<CertifiedKey>>,
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match self.files.certified() {
            Ok(found) => *last = found,
            Err(error) => {
                tracing::error!(%error, "the certificate shown to others stays the old one")
            }
        }
        Some(last.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |source| TlsError::Read { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(read)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if found.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(found) }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Authorities {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
    }
    Ok(roots)
}
