//! How services elsewhere are asked, and their logs read: by whoever serves and by a command alike.

use anyhow::{Context, Result};
use edge::{Lines, Peer, PeerLimits, Shown};
use event_store::follow::{Elsewhere, Source};
use projections::HttpOwner;

pub(crate) struct Asking {
    pub(crate) lines: Lines,
    pub(crate) limits: PeerLimits,
    /// What says who asks.
    pub(crate) shown: Shown,
    /// Of every log.
    pub(crate) partitions: u32,
}

impl Asking {
    pub(crate) fn peer(&self, service: &str, url: &str) -> Result<Peer> {
        let peer = Peer::over(self.lines.clone(), service, url, self.limits);
        Ok(peer.with_context(|| format!("{service}_url"))?.showing(self.shown.clone()))
    }

    pub(crate) fn log(&self, owner: &Peer) -> Source {
        let service = owner.service();
        let http = HttpOwner::new(service, owner.clone());
        Source::Elsewhere(Elsewhere::new(service, self.partitions, http))
    }
}
