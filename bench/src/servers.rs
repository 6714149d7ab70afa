//! One private Postgres and one private Kafka for the whole run, with their disks' promises kept.

use anyhow::Result;
use daybook::embedded::{Java, Kafka, KafkaSettings, Postgres, PostgresSettings};
use event_store::Database;
use std::path::Path;

pub struct Servers {
    postgres: Postgres,
    pub kafka: Option<Kafka>,
}

impl Servers {
    pub async fn start(folder: &Path, with_kafka: bool) -> Result<Self> {
        let postgres = Postgres::start(&PostgresSettings::new(folder)).await?;
        let kafka = if with_kafka {
            let java = Java::find(None).map_err(|none| anyhow::anyhow!("no Kafka: {none}"))?;
            let data_dir = folder.to_owned();
            Some(Kafka::start(&KafkaSettings { data_dir, port: 0, java, leashed: false }).await?)
        } else {
            None
        };
        Ok(Servers { postgres, kafka })
    }

    pub async fn database(&self, name: &str) -> Result<Database> {
        let mut database = Database::from(self.postgres.config());
        let client = database.connect("bench").await?;
        client.batch_execute(&format!("create database {name}")).await?;
        database.config.dbname(name);
        Ok(database)
    }

    pub async fn stop(self) {
        if let Some(kafka) = self.kafka {
            kafka.stop().await;
        }
        self.postgres.stop().await;
    }
}
