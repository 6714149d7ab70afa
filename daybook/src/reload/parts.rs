use std::mem::replace;

use anyhow::Result;
use edge::access::NewTrust;
use edge::telemetry::{self, LogFilter};
use edge::tls::Tls;
use edge::{Access, Lines, Origins, Proxies};
use event_store::kafka::Brokers;
use rustls::ServerConfig;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::seen::Seen;
use crate::settings::{Differing, Loaded};
use crate::shop::{Called, Rates};

/// Whoever takes new settings while the process runs.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) log: LogFilter,
    pub(crate) door: Option<Tls>,
    pub(crate) origins: Origins,
    pub(crate) proxies: Proxies,
    pub(crate) rates: Rates,
    pub(crate) access: Access,
    pub(crate) called: Called,
    pub(crate) brokers: watch::Sender<Option<Brokers>>,
}

/// What they are to be told. All of it is good, and nobody knows it yet.
pub(super) struct News {
    loaded: Loaded,
    differing: Differing,
    log: EnvFilter,
    door: Option<ServerConfig>,
    lines: Option<Lines>,
    /// The files of which the lines are made.
    lines_of: Seen,
    trust: Option<NewTrust>,
    /// A Kafka of yours, with what it is to be shown.
    brokers: Option<Brokers>,
}

impl Parts {
    /// Reads every file that settings which were read later name, as far as they may be taken.
    pub(super) fn read(&self, in_force: &Loaded, later: &Loaded, lines_of: &Seen) -> Result<News> {
        let (loaded, differing) = in_force.taking(later)?;
        let settings = &loaded.settings;
        // Before they are read.
        let now = Seen::of(settings.tls_files());
        let lines = settings.lines()?;
        Ok(News {
            log: telemetry::filter(&settings.log)?,
            door: settings.door()?,
            lines: (now != *lines_of).then_some(lines),
            lines_of: now,
            trust: self.access.read_again()?,
            brokers: settings.brokers()?,
            loaded,
            differing,
        })
    }

    pub(super) fn tell(&self, news: News) -> Told {
        let settings = &news.loaded.settings;
        self.log.set(news.log);
        if let Some((door, shown)) = self.door.as_ref().zip(news.door) {
            door.set(shown);
        }
        self.origins.set(&settings.origins());
        self.proxies.set(&settings.proxies());
        self.rates.set(settings);
        if let Some(trust) = news.trust {
            trust.trust();
        }
        self.called.set(&settings.limits);
        if let Some(lines) = &news.lines {
            self.called.set_lines(lines);
        }
        if news.brokers.is_some() {
            // Its clients are made anew, and not for less.
            self.brokers.send_if_modified(|now| replace(now, news.brokers.clone()) != news.brokers);
        }
        Told { loaded: news.loaded, differing: news.differing, lines_of: news.lines_of }
    }
}

/// What is in force since.
pub(super) struct Told {
    pub(super) loaded: Loaded,
    pub(super) differing: Differing,
    pub(super) lines_of: Seen,
}
