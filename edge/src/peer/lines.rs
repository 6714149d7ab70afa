#[cfg(test)]
mod tests;

use super::{BadAddress, PeerLimits};
use reqwest::{Client, ClientBuilder};
use rustls::ClientConfig;

/// The connections to other services, and whom of them to trust. Clones share them.
#[derive(Clone, Debug)]
pub struct Lines(pub(super) Client);

impl Lines {
    /// Where an address says https, who is trusted for `tls` is trusted, and shown what it shows; else whoever this machine
    /// trusts.
    ///
    /// # Errors
    /// If there is nobody to trust.
    pub fn new(limits: &PeerLimits, tls: Option<ClientConfig>) -> Result<Self, BadAddress> {
        let client = Client::builder();
        let client = match tls {
            Some(tls) => client.tls_backend_preconfigured(tls),
            None => client,
        };
        Self::of(client, limits)
    }

    /// The same, made by a client that knows already whom to trust, or who tells where names lead.
    fn of(client: ClientBuilder, limits: &PeerLimits) -> Result<Self, BadAddress> {
        // One provider of cryptography serves the process; whoever is first installs it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = client
            // It is one of us: nobody stands between.
            .no_proxy()
            .connect_timeout(limits.connect)
            .pool_idle_timeout(limits.idle)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        client.map(Lines).map_err(BadAddress::Client)
    }
}
