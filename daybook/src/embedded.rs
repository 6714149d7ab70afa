//! A Postgres and an Apache Kafka of Daybook's own: child processes whose data live in the data
//! folder.
//!
//! One process owns a data folder, by a lock. Its servers outlive it when it is killed, and the
//! next owner adopts them, or ends them if they are not what it would start. They run in process
//! groups of their own, so the Ctrl-C of a terminal reaches Daybook alone, which then stops them in
//! its own order. Kafka starts in the background: commands are accepted before it is up, and if
//! there is no Java or there are no jars there is none. A server that dies while Daybook runs is
//! started again.

mod error;
mod folder;
mod home;
mod installation;
mod kafka;
mod keeper;
mod launch;
mod port;
mod postgres;
mod process;
mod runtime;
mod secret;
mod user;

use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio_postgres::config::Host;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::EmbeddedError;
pub use kafka::{Java, Kafka, KafkaSettings, NoKafka};
pub use postgres::{Postgres, PostgresSettings};
pub use process::Process;
pub use runtime::Runtime;

use folder::Folder;
use runtime::Announcement;

/// What `serve` needs of the world: where it is given, or how to make it.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// The folder of the embedded servers; created when one is needed.
    pub data_dir: PathBuf,
    /// A Postgres of yours; without it one is embedded.
    pub database_url: Option<String>,
    pub kafka: KafkaChoice,
}

/// Which Kafka there is to be.
#[derive(Clone, Debug)]
pub enum KafkaChoice {
    /// None: followers read the log.
    Off,
    /// Yours, as a list of `host:port`.
    Yours(String),
    /// A private one on this port (0 is any free one), from jars in this folder, or where `make
    /// setup` puts them.
    Embedded { port: u16, jars: Option<PathBuf> },
}

/// The servers of a running Daybook. Dropped without [`Embedded::stop`] they go on, and the next
/// owner of the data folder adopts them.
#[derive(Debug)]
pub struct Embedded {
    /// How to reach the database, as a user who may create schemas and roles.
    pub database: tokio_postgres::Config,
    /// The brokers, once Kafka is up; `None` until then, and for ever if there is none.
    pub kafka: watch::Receiver<Option<String>>,
    lines: [String; 2],
    embeds_kafka: bool,
    announcement: Announcement,
    stopping: CancellationToken,
    keepers: TaskTracker,
    /// Held, not read: the lock on the data folder falls with it. Absent if nothing is embedded.
    _folder: Option<Folder>,
}

impl Embedded {
    /// Starts or adopts what the settings ask for. Returns when Postgres takes connections; Kafka
    /// may come later.
    pub async fn start(settings: EmbeddedSettings) -> Result<Self, EmbeddedError> {
        let embeds_kafka = matches!(settings.kafka, KafkaChoice::Embedded { .. });
        let folder = match settings.database_url.is_none() || embeds_kafka {
            true => Some(Folder::own(&settings.data_dir).await?),
            false => None,
        };
        let keep = Keep {
            data_dir: folder.as_ref().map_or(settings.data_dir, |folder| folder.path().to_owned()),
            announcement: Announcement::new(folder.as_ref().map(Folder::path)),
            stopping: CancellationToken::new(),
            keepers: TaskTracker::new(),
        };
        let (kafka, kafka_line) = keep.kafka(settings.kafka)?;
        let (database, database_line) = keep.database(settings.database_url).await?;
        let Keep { announcement, stopping, keepers, .. } = keep;
        let lines = [database_line, kafka_line];
        let _folder = folder;
        Ok(Self { database, kafka, lines, embeds_kafka, announcement, stopping, keepers, _folder })
    }

    /// What there is now, a line each for Postgres and Kafka, for the person who started Daybook.
    pub fn lines(&self) -> [String; 2] {
        let [database, kafka] = self.lines.clone();
        match &*self.kafka.borrow() {
            // Adopted, most likely: a start takes longer than what comes before the lines are read.
            Some(brokers) if self.embeds_kafka => [database, format!("Kafka     {brokers}")],
            Some(_) | None => [database, kafka],
        }
    }

    /// Tells other commands where Daybook listens: `http://127.0.0.1:7400`.
    pub fn announce(&self, url: &str) {
        self.announcement.update(|runtime| runtime.url = Some(url.to_owned()));
    }

    /// Stops what was started or adopted, both servers at once, within ten seconds. Whoever writes
    /// to them has to stop before.
    pub async fn stop(self) {
        self.announcement.withdraw();
        self.stopping.cancel();
        self.keepers.close();
        self.keepers.wait().await;
    }
}

/// What the servers are started with.
struct Keep {
    data_dir: PathBuf,
    announcement: Announcement,
    stopping: CancellationToken,
    keepers: TaskTracker,
}

impl Keep {
    fn kafka(
        &self,
        choice: KafkaChoice,
    ) -> Result<(watch::Receiver<Option<String>>, String), EmbeddedError> {
        let (sender, receiver) = watch::channel(None);
        let line = match choice {
            KafkaChoice::Off => "Kafka     none, as configured: followers read the log".to_owned(),
            KafkaChoice::Yours(brokers) => {
                self.announcement.update(|runtime| runtime.kafka_brokers = Some(brokers.clone()));
                sender.send_replace(Some(brokers.clone()));
                format!("Kafka     {brokers}, yours")
            }
            KafkaChoice::Embedded { port, jars } => match Java::find(jars.as_deref()) {
                Err(reason) => format!("Kafka     none: {reason}; followers read the log"),
                Ok(java) => {
                    let settings = KafkaSettings {
                        data_dir: self.data_dir.clone(),
                        port,
                        java,
                        leashed: false,
                    };
                    settings.check_port()?;
                    let (announcement, stopping) =
                        (self.announcement.clone(), self.stopping.clone());
                    self.keepers.spawn(keeper::keep_kafka(
                        settings,
                        sender,
                        announcement,
                        stopping,
                    ));
                    match port {
                        0 => "Kafka     a free port of 127.0.0.1, in a few seconds".to_owned(),
                        port => format!("Kafka     127.0.0.1:{port}, in a few seconds"),
                    }
                }
            },
        };
        Ok((receiver, line))
    }

    async fn database(
        &self,
        url: Option<String>,
    ) -> Result<(tokio_postgres::Config, String), EmbeddedError> {
        if let Some(url) = url {
            let config: tokio_postgres::Config = url.parse().map_err(EmbeddedError::DatabaseUrl)?;
            self.announcement.update(|runtime| runtime.database_url = Some(url));
            let line = format!("Postgres  {}, yours", hosts(&config));
            return Ok((config, line));
        }
        let settings = PostgresSettings::new(&self.data_dir);
        let started = Postgres::start(&settings).await;
        let postgres = match started {
            Ok(postgres) => postgres,
            Err(error) => {
                // Kafka may be on its way already, and we shall not be there to stop it.
                self.stopping.cancel();
                self.keepers.close();
                self.keepers.wait().await;
                return Err(error);
            }
        };
        event_store::failpoint::failpoint("embedded-postgres-started");
        self.announcement.update(|runtime| runtime.database_url = Some(postgres.url()));
        let (config, port) = (postgres.config(), postgres.port());
        let line = format!("Postgres  127.0.0.1:{port}, its data in {}", shown(postgres.home()));
        self.keepers.spawn(keeper::keep_postgres(postgres, settings, self.stopping.clone()));
        Ok((config, line))
    }
}

fn hosts(config: &tokio_postgres::Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    config.get_hosts().iter().map(host).collect::<Vec<_>>().join(", ")
}

/// A path as short as it can be said here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
