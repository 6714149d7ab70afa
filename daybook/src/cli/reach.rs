//! How a command finds the database of a Daybook, running or not.

use crate::embedded::{Embedded, EmbeddedSettings, KafkaChoice, Runtime};
use crate::settings::{Loaded, ReachFlags, Settings};
use crate::shop::SERVICES;
use anyhow::{Result, bail};
use event_store::follow::ReadSide;
use event_store::{Database, Log, LogSettings};
use rustix::process::{Pid, setpriority_process};

/// A Daybook's database. If nothing runs on the data folder, its Postgres runs for as long as this lives.
pub(super) struct Reached {
    pub(super) settings: Settings,
    pub(super) database: Database,
    /// Where it listens, if it does.
    pub(super) url: Option<String>,
    embedded: Option<Embedded>,
}

/// Of the processor it has about a tenth of what each of the others has who want it.
const NICE: i32 = 10;

/// Where the Daybook that runs on the data folder listens, or one with these settings would.
pub(super) fn url(settings: &Settings) -> String {
    let running = Runtime::find(&settings.data_dir).and_then(|runtime| runtime.url);
    running.unwrap_or_else(|| format!("http://{}", settings.listen))
}

impl Reached {
    pub(super) async fn find(flags: &ReachFlags) -> Result<Self> {
        let settings = Loaded::of_this_process(flags)?.settings;
        let yours = settings.database_url.as_ref().map(|url| url.expose().to_owned());
        let runtime = Runtime::find(&settings.data_dir);
        let url = match (&yours, &runtime) {
            (_, Some(runtime)) => runtime.url.clone(),
            (Some(_), None) => Some(format!("http://{}", settings.listen)),
            (None, None) => None,
        };
        if let Some(known) = yours.or_else(|| runtime.and_then(|runtime| runtime.database_url)) {
            let limits = settings.limits.database();
            let database = Database { limits, ..Database::parse(&known)? };
            return Ok(Reached { settings, database, url, embedded: None });
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
        let database = Database {
            limits: settings.limits.database(),
            ..Database::from(embedded.database.clone())
        };
        Ok(Reached { settings, database, url: None, embedded: Some(embedded) })
    }

    /// Opens the logs of these services; of all, if there are none.
    pub(super) async fn logs(&self, services: &[String]) -> Result<Vec<Log>> {
        if let Some(unknown) = services.iter().find(|s| SERVICES.iter().all(|(n, _)| n != s)) {
            let known: Vec<_> = SERVICES.iter().map(|(name, _)| *name).collect();
            bail!("there is no service `{unknown}`; there are {}", known.join(", "));
        }
        let mut logs = Vec::new();
        for (service, _) in SERVICES {
            if services.is_empty() || services.iter().any(|asked| asked == service) {
                let database = self.database.of_service(service);
                let settings = LogSettings::new(service, self.settings.partitions, database);
                let settings = self.settings.limits.log(settings);
                logs.push(Log::open(settings).await?);
            }
        }
        Ok(logs)
    }

    pub(super) fn reads(&self) -> Result<Vec<ReadSide>> {
        // A rebuild needs some at once, whatever a serving process has.
        let size = self.settings.followers.max(8);
        let open = |(service, _): (&str, _)| {
            ReadSide::open(&self.database.of_service(service), service, size)
        };
        Ok(SERVICES.into_iter().map(open).collect::<Result<_, _>>()?)
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
