//! One private Postgres and one private Kafka for the whole run, with their disks' promises kept.

use crate::machine::{memory_mib, said};
use anyhow::{Context, Result};
use daybook::embedded::{Java, Kafka, KafkaSettings, Postgres, PostgresSettings};
use event_store::Database;
use std::path::{Path, PathBuf};
use tokio::sync::OnceCell;

/// As a server of its own is given: a checkpoint comes by its time, and not with the WAL of a minute.
const WAL_MIB: u64 = 16 << 10;

pub struct Servers {
    folder: PathBuf,
    postgres: Postgres,
    kafka: OnceCell<Kafka>,
}

impl Servers {
    /// Kafka is started by the first who asks for it.
    pub async fn start(folder: &Path) -> Result<Self> {
        let buffers_mib = memory_mib()? / 4;
        let mine = PostgresSettings::new(folder);
        let settings = PostgresSettings { leashed: true, buffers_mib, wal_mib: WAL_MIB, ..mine };
        let postgres = Postgres::start(&settings).await?;
        Ok(Servers { folder: folder.to_owned(), postgres, kafka: OnceCell::new() })
    }

    pub fn java() -> Result<Java> {
        Java::find(None).map_err(|none| anyhow::anyhow!("no Kafka: {none}"))
    }

    pub async fn kafka(&self) -> Result<&Kafka> {
        let start = || async {
            let java = Self::java()?;
            let data_dir = self.folder.clone();
            Ok(Kafka::start(&KafkaSettings { data_dir, port: 0, java, leashed: true }).await?)
        };
        self.kafka.get_or_try_init(start).await
    }

    /// Of the disk that holds the data. On `tmpfs` a commit costs nothing, and no figure is one.
    pub fn file_system(&self) -> String {
        said("stat", &["-f", "-c", "%T", &self.folder.to_string_lossy()])
    }

    /// A folder of a bench's own, for what it starts itself.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn superuser(&self) -> Database {
        Database::from(self.postgres.config())
    }

    /// A new database.
    pub async fn database(&self, name: &str) -> Result<Database> {
        let mut database = self.superuser();
        let client = database.connect("bench").await?;
        client.batch_execute(&format!("create database {name}")).await?;
        database.config.dbname(name);
        Ok(database)
    }

    /// Its pages burden nobody who comes after it.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let client = self.superuser().connect("bench").await?;
        client.batch_execute(&format!("drop database {name} with (force)")).await?;
        Ok(())
    }

    /// So that nobody pays for the pages that another has written.
    pub async fn checkpoint(&self) -> Result<()> {
        self.superuser().connect("bench").await?.batch_execute("checkpoint").await?;
        Ok(())
    }

    pub async fn postgres_version(&self) -> Result<String> {
        let client = self.superuser().connect("bench").await?;
        Ok(client.query_one("show server_version", &[]).await?.get(0))
    }

    /// As the name of its jar says.
    pub fn kafka_version(&self) -> String {
        let jars = Self::java().ok().and_then(|java| std::fs::read_dir(java.jars).ok());
        let names = jars.into_iter().flatten().flatten().map(|jar| jar.file_name());
        names
            .filter_map(|name| name.into_string().ok())
            .filter_map(|name| {
                Some(name.strip_prefix("kafka-server-")?.strip_suffix(".jar")?.into())
            })
            .find(|version: &String| version.starts_with(|c: char| c.is_ascii_digit()))
            .unwrap_or_else(|| "unknown".into())
    }

    pub async fn stop(self) {
        if let Some(kafka) = self.kafka.into_inner() {
            kafka.stop().await;
        }
        self.postgres.stop().await;
    }
}

/// How programs that are none of ours reach a database.
pub struct Login {
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Login {
    pub const HOST: &str = "127.0.0.1";

    pub fn to(database: &Database) -> Result<Self> {
        let config = &database.config;
        Ok(Login {
            port: *config.get_ports().first().context("a port")?,
            user: config.get_user().context("a user")?.to_owned(),
            password: String::from_utf8(config.get_password().unwrap_or_default().to_vec())?,
            database: config.get_dbname().context("a database")?.to_owned(),
        })
    }

    pub fn url(&self) -> String {
        let Login { port, user, password, database } = self;
        format!("postgres://{user}:{password}@{}:{port}/{database}", Self::HOST)
    }
}
