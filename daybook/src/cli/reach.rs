//! How a command finds a Daybook: its database, whether it runs or not, and where it listens.

use crate::asking::Asking;
use crate::embedded::{Embedded, EmbeddedSettings, KafkaChoice, Runtime};
use crate::settings::{Loaded, ReachFlags, Settings};
use crate::shop::SERVICES;
use anyhow::{Context, Result, bail};
use edge::access::{LONGEST_TOKEN, SigningKeys, Wanted};
use edge::{Peer, Role, clock};
use event_store::follow::{ReadSide, Source};
use event_store::{Database, Log, LogSettings};
use rustix::process::{Pid, setpriority_process};
use rustls::ClientConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A Daybook's database. If nothing runs on the data folder, its Postgres runs for as long as this lives.
pub(super) struct Reached {
    pub(super) settings: Settings,
    /// Of each service that is here.
    pub(super) databases: BTreeMap<&'static str, Database>,
    /// Where it listens, if it does.
    pub(super) url: Option<String>,
    embedded: Option<Embedded>,
}

/// Of the processor it has about a third of what each of the others has who want it.
const NICE: i32 = 5;

/// The way to a Daybook that listens.
pub(super) struct Way {
    pub(super) url: String,
    /// Whom to trust there, and what to show him; none: whoever this machine trusts.
    pub(super) tls: Option<ClientConfig>,
    pub(super) token: Option<String>,
}

impl Way {
    /// To the one that runs on the data folder, or to one with these settings.
    pub(super) fn of(settings: &Settings) -> Result<Self> {
        let running = Runtime::find(&settings.data_dir).and_then(|runtime| runtime.url);
        let url = running.unwrap_or_else(|| settings.url(settings.listen));
        Ok(Way { url, tls: settings.own_tls()?, token: token(settings)? })
    }

    /// To one that somebody has named. What the key in the data folder signs is for the Daybook there, and shown to nobody
    /// else.
    pub(super) fn to(url: String, settings: &Settings) -> Result<Self> {
        let token = settings.token.as_ref().map(|token| token.expose().to_owned());
        Ok(Way { url, tls: settings.peers_tls()?, token })
    }
}

/// What a command shows the Daybook that it asks: the token that it was given, else one that is signed with the key in
/// the data folder, if that is there. None: nobody asks, as it seems.
fn token(settings: &Settings) -> Result<Option<String>> {
    if let Some(token) = &settings.token {
        return Ok(Some(token.expose().to_owned()));
    }
    let access = settings.access();
    let wanted = Wanted {
        subject: "cli".to_owned(),
        roles: [Role::Operator, Role::Support, Role::Warehouse].into(),
        scopes: BTreeSet::new(),
        customer: None,
        acting: None,
        issuer: access.issuer,
        audience: access.audience,
        lives: LONGEST_TOKEN,
    };
    Ok(SigningKeys::read(&access.keys_file)?.token(&wanted, clock::now()))
}

impl Reached {
    pub(super) async fn find(flags: &ReachFlags) -> Result<Self> {
        let settings = Loaded::of_this_process(flags)?.settings;
        let yours = settings.yours().map(str::to_owned);
        let runtime = Runtime::find(&settings.data_dir);
        let url = match (&yours, &runtime) {
            (_, Some(runtime)) => runtime.url.clone(),
            (Some(_), None) => Some(settings.url(settings.listen)),
            (None, None) => None,
        };
        if let Some(known) = yours.or_else(|| runtime.and_then(|runtime| runtime.database_url)) {
            let databases = settings.databases(&Database::parse(&known)?)?;
            return Ok(Reached { settings, databases, url, embedded: None });
        }
        let folder = settings.data_dir.display();
        if !settings.data_dir.join("postgres").exists() {
            bail!(
                "there is no Daybook in {folder}: start one with `daybook serve`, say where it is with \
                 --data-dir, or where your Postgres is with DATABASE_URL"
            );
        }
        let embedded = Embedded::start(EmbeddedSettings {
            data_dir: settings.data_dir.clone(),
            database_url: None,
            kafka: KafkaChoice::Off,
        })
        .await?;
        let databases = settings.databases(&Database::from(embedded.database.clone()))?;
        Ok(Reached { settings, databases, url: None, embedded: Some(embedded) })
    }

    pub(super) fn database(&self, service: &str) -> Result<&Database> {
        let known: Vec<_> = SERVICES.iter().map(|(name, _)| *name).collect();
        if !known.contains(&service) {
            bail!("there is no service `{service}`; there are {}", known.join(", "));
        }
        self.databases.get(service).with_context(|| format!("`{service}` is not among `service`"))
    }

    /// Opens the logs of these services; of all that are here, if there are none.
    pub(super) async fn logs(&self, services: &[String]) -> Result<Vec<Log>> {
        for asked in services {
            self.database(asked)?;
        }
        let mut logs = Vec::new();
        for (service, database) in self.in_order() {
            if services.is_empty() || services.iter().any(|asked| asked == service) {
                let database = database.of_service(service);
                let settings = LogSettings::new(service, self.settings.partitions, database);
                let settings = self.settings.limits.log(settings);
                logs.push(Log::open(settings).await?);
            }
        }
        Ok(logs)
    }

    /// The logs that are here, and those elsewhere whose address is known.
    pub(super) async fn sources(&self) -> Result<Vec<Source>> {
        let mut sources: Vec<_> = self.logs(&[]).await?.into_iter().map(Source::Here).collect();
        sources.extend(self.elsewhere()?);
        Ok(sources)
    }

    /// The logs elsewhere whose address is known.
    pub(super) fn elsewhere(&self) -> Result<Vec<Source>> {
        let peers = self.peers()?;
        if peers.is_empty() {
            return Ok(Vec::new());
        }
        let asking = self.asking()?;
        Ok(peers.iter().map(|(_, owner)| asking.log(owner)).collect())
    }

    /// Whoever answers for services elsewhere whose address is known.
    pub(super) fn peers(&self) -> Result<Vec<(&'static str, Peer)>> {
        let Reached { settings, databases, .. } = self;
        let url = |(service, _): (&'static str, _)| Some((service, settings.url_of(service)?));
        let elsewhere = SERVICES.into_iter().filter_map(url);
        let mut elsewhere = elsewhere.filter(|(it, _)| !databases.contains_key(it)).peekable();
        if elsewhere.peek().is_none() {
            return Ok(Vec::new());
        }
        let asking = self.asking()?;
        elsewhere.map(|(service, url)| Ok((service, asking.peer(service, url)?))).collect()
    }

    fn asking(&self) -> Result<Asking> {
        let token: Option<Arc<str>> = token(&self.settings)?.map(Into::into);
        Ok(Asking {
            lines: self.settings.lines()?,
            limits: self.settings.limits.peer(),
            shown: Arc::new(move |_, _| token.clone()),
            partitions: self.settings.partitions,
        })
    }

    pub(super) fn reads(&self) -> Result<Vec<ReadSide>> {
        // A rebuild needs some at once, whatever a serving process has.
        let size = self.settings.followers.max(8);
        let open = |(service, database): (&str, &Database)| {
            ReadSide::open(&database.of_service(service), service, size)
        };
        Ok(self.in_order().map(open).collect::<Result<_, _>>()?)
    }

    /// The services that are here, in the order of the shop, with their databases.
    fn in_order(&self) -> impl Iterator<Item = (&'static str, &Database)> {
        SERVICES.iter().filter_map(|(service, _)| Some((*service, self.databases.get(service)?)))
    }

    /// From now on whoever else runs on this machine comes first: a Daybook that serves, and its Postgres. Not below
    /// everybody, for in the last moments of a rebuild the live followers wait for it.
    pub(super) fn stand_back(&self) {
        // What is started after this inherits it; a Postgres of its own was started before.
        let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let threads = threads.filter_map(|it| it.file_name().to_str()?.parse().ok());
        for thread in threads.filter_map(Pid::from_raw) {
            if let Err(error) = setpriority_process(Some(thread), NICE) {
                tracing::debug!(%error, "a thread does not stand back");
            }
        }
    }

    /// The data folder whose Postgres was started for this, if it was.
    pub(super) fn started(&self) -> Option<String> {
        self.embedded.as_ref().map(|_| self.settings.data_dir.display().to_string())
    }

    pub(super) async fn leave(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_running_daybook_is_found_by_its_data_folder_and_else_by_where_it_would_listen() {
        let folder = tempfile::tempdir().unwrap();
        let told =
            [("DAYBOOK_DATA_DIR", folder.path().into()), ("DAYBOOK_LISTEN", "[::1]:80".into())];
        let told = told.map(|(name, value)| (name.into(), value));
        let settings = Loaded::from(None, told, &ReachFlags::default()).unwrap().settings;
        let url = |settings: &Settings| Way::of(settings).unwrap().url;
        assert_eq!(url(&settings), "http://[::1]:80");

        // A folder is owned as soon as a server might live in it, though there are no jars for one.
        let embedded = Embedded::start(EmbeddedSettings {
            data_dir: settings.data_dir.clone(),
            database_url: Some("postgres://nobody@127.0.0.1:1/none".to_owned()),
            kafka: KafkaChoice::Embedded { port: 0, jars: Some(folder.path().to_owned()) },
        });
        let embedded = embedded.await.unwrap();
        embedded.announce("http://127.0.0.1:7654");
        assert_eq!(url(&settings), "http://127.0.0.1:7654");
        embedded.stop().await;
        assert_eq!(url(&settings), "http://[::1]:80");
    }
}
