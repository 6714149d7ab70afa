//! What is said over TLS, and who is trusted for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use edge::tls::{TlsError, TlsFiles};
use edge::{BadAddress, Lines};
use rustls::{ClientConfig, ServerConfig};

use super::Settings;

/// Why nobody can be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Client(#[from] BadAddress),
}

impl Settings {
    /// Where this one listens, or another with these settings would.
    #[must_use]
    pub fn url(&self, listen: SocketAddr) -> String {
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        format!("{scheme}://{listen}")
    }

    /// What the door is to show; none if it speaks in clear.
    ///
    /// # Errors
    /// If a file is missing, or holds what cannot be used.
    pub fn door(&self) -> Result<Option<ServerConfig>, TlsError> {
        let callers = self.tls_client_ca.clone();
        self.own().map(|own| TlsFiles { callers, ..own }.server()).transpose()
    }

    /// How other services are spoken to: what is shown to callers is shown to them too.
    ///
    /// # Errors
    /// If a file is missing, or holds what cannot be used.
    pub fn peers_tls(&self) -> Result<Option<ClientConfig>, TlsError> {
        let trusted = self.peers_ca.as_deref();
        trusted.map(|trusted| edge::tls::client(trusted, self.own().as_ref())).transpose()
    }

    /// The connections to other services.
    ///
    /// # Errors
    /// If a file is missing, or holds what cannot be used.
    pub fn lines(&self) -> Result<Lines, LineError> {
        Ok(Lines::new(&self.limits.peer(), self.peers_tls()?)?)
    }

    /// How a command speaks to the Daybook that has these settings, whose certificate it therefore knows. The key is read
    /// only where it may be asked for.
    ///
    /// # Errors
    /// If a file is missing, or holds what cannot be used.
    pub fn own_tls(&self) -> Result<Option<ClientConfig>, TlsError> {
        let Some(own) = self.own() else { return self.peers_tls() };
        let is_asked = self.tls_client_ca.is_some() || self.peers_ca.is_some();
        let (certificate, others) = (&own.certificate, self.peers_ca.as_deref());
        edge::tls::client_of(certificate, others, is_asked.then_some(&own)).map(Some)
    }

    /// Every file from which the above is made.
    pub(crate) fn tls_files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.tls_cert, &self.tls_key, &self.tls_client_ca, &self.peers_ca];
        files.into_iter().flatten().map(PathBuf::as_path)
    }

    fn own(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { certificate, key, callers: None })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Loaded, ServeFlags};

    fn loaded(told: &[(&str, &str)]) -> Loaded {
        let told = told.iter().map(|(key, value)| (format!("DAYBOOK_{key}").into(), value.into()));
        Loaded::from(None, told, &ServeFlags::default()).unwrap()
    }

    #[test]
    fn a_certificate_may_change_while_daybook_runs_and_whether_there_is_one_may_not() {
        let clear = loaded(&[("LOG", "info")]);
        let secret = loaded(&[("TLS_CERT", "a"), ("TLS_KEY", "b")]);
        let other = loaded(&[("TLS_CERT", "c"), ("TLS_KEY", "d"), ("TLS_CLIENT_CA", "e")]);
        let (taken, differing) = secret.taking(&other).unwrap();
        assert_eq!(taken.settings.tls_cert, other.settings.tls_cert);
        assert_eq!(differing.taken, ["tls_cert", "tls_key", "tls_client_ca"]);
        assert!(differing.waiting.is_empty());

        let (taken, differing) = clear.taking(&secret).unwrap();
        assert_eq!(taken.settings.tls_cert, None);
        assert_eq!(
            (differing.taken, differing.waiting),
            (vec!["log"], vec!["tls_cert", "tls_key"])
        );
        let (taken, differing) = secret.taking(&clear).unwrap();
        assert_eq!(taken.settings.tls_cert, secret.settings.tls_cert);
        assert_eq!(taken.settings.log, "info");
        assert_eq!(differing.waiting, ["tls_cert", "tls_key"]);
    }
}
