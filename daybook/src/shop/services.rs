//! The services of this process, each with its log and its read side, and those elsewhere that it follows or asks.

use super::ShopSettings;
use crate::asking::Asking;
use anyhow::Result;
use edge::Peer;
use event_store::follow::{Feed, FollowLimits, ReadSide, Source};
use event_store::{Log, lay};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one service has in this process.
pub(super) struct Service {
    pub(super) log: Log,
    pub(super) read: ReadSide,
}

/// The services that are here, and the others that are needed.
pub(super) struct Services {
    pub(super) here: BTreeMap<&'static str, Service>,
    pub(super) elsewhere: BTreeMap<&'static str, Peer>,
    /// Those elsewhere that nothing here follows, and whose address is known: they are asked where somebody wants to know.
    beside: BTreeMap<&'static str, Peer>,
    asking: Asking,
}

/// It is the first of the services that are here who asks.
fn asking(settings: &ShopSettings) -> Asking {
    let access = settings.access.clone();
    let service = settings.part.services.first().copied().unwrap_or("daybook");
    Asking {
        lines: settings.lines.clone(),
        limits: settings.limits.peer(),
        shown: Arc::new(move |to, actor| access.service_token(service, to, actor)),
        partitions: settings.partitions,
    }
}

impl Services {
    /// Lays what is missing, where the login may. Of those elsewhere nobody is asked yet.
    pub(super) async fn open(settings: &ShopSettings) -> Result<Self> {
        let mut here = BTreeMap::new();
        for service in settings.part.services.iter().copied() {
            let database = &settings.databases[service];
            lay(database, service, settings.partitions).await?;
            let log = Log::open(settings.log(service)).await?;
            let sizes = (settings.readers, settings.followers);
            let read = ReadSide::sized(log.database(), service, sizes)?;
            here.insert(service, Service { log, read });
        }
        let (asking, needed) = (asking(settings), settings.part.elsewhere(&settings.urls)?);
        let (mut elsewhere, mut beside) = (BTreeMap::new(), BTreeMap::new());
        for (service, url) in &settings.urls {
            if !settings.part.is_here(service) {
                let is_needed = needed.contains_key(service);
                let others = if is_needed { &mut elsewhere } else { &mut beside };
                others.insert(*service, asking.peer(service, url)?);
            }
        }
        // Whoever calls nobody says so.
        metrics::counter!("daybook_peer_calls_total").increment(0);
        metrics::counter!("daybook_peer_retries_total").increment(0);
        Ok(Services { here, elsewhere, beside, asking })
    }

    pub(super) fn logs(&self) -> impl Iterator<Item = &Log> {
        self.here.values().map(|service| &service.log)
    }

    pub(super) fn log(&self, service: &str) -> Option<&Log> {
        self.here.get(service).map(|service| &service.log)
    }

    /// Whoever answers for services that are not here.
    pub(super) fn peers(&self) -> impl Iterator<Item = (&'static str, &Peer)> {
        self.elsewhere.iter().chain(&self.beside).map(|(service, peer)| (*service, peer))
    }

    pub(super) fn peer(&self, service: &str) -> Option<&Peer> {
        self.peers().find_map(|(of, peer)| (of == service).then_some(peer))
    }

    pub(super) fn read(&self, service: &str) -> Option<&ReadSide> {
        self.here.get(service).map(|service| &service.read)
    }

    pub(super) fn reads(&self) -> Vec<ReadSide> {
        self.here.values().map(|service| service.read.clone()).collect()
    }

    /// The logs that are here, and those elsewhere that are followed here.
    pub(super) fn sources(&self) -> Vec<Source> {
        let here = self.logs().map(Source::from);
        let elsewhere = self.elsewhere.values().map(|owner| self.asking.log(owner));
        here.chain(elsewhere).collect()
    }

    pub(super) fn feeds(sources: &[Source], limits: &FollowLimits) -> Vec<Feed> {
        sources.iter().map(|source| Feed::limited(source.clone(), limits)).collect()
    }
}
