use super::Outcome;
use crate::failpoint::failpoint;
use crate::{Database, Log, StoreError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A snapshot to be written.
pub(super) struct Job {
    pub(super) stream: String,
    pub(super) state_version: i32,
    /// Of the event that it is folded to.
    pub(super) version: i64,
    pub(super) event_id: Uuid,
    /// In which that event was the log's.
    pub(super) epoch: i32,
    pub(super) state: String,
}

/// Writes one snapshot after the other, each once: the next one of its stream makes up for what fails.
pub(super) struct Writer {
    category: &'static str,
    database: Database,
    sql: String,
    call_timeout: Duration,
    receive: mpsc::Receiver<Job>,
    session: Option<(Client, Statement)>,
}

impl Writer {
    pub(super) fn new(log: &Log, category: &'static str, receive: mpsc::Receiver<Job>) -> Self {
        Writer {
            category,
            // What a crash takes of them was not promised to anybody, so nobody waits for the disk. A snapshot
            // that is left is behind its event in the write-ahead log, and the event therefore left too.
            database: log.database().with_option("synchronous_commit=off"),
            sql: include_str!("write.sql").replace("{service}", log.service()),
            call_timeout: log.call_timeout(),
            receive,
            session: None,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let writing = async {
            while let Some(job) = self.receive.recv().await {
                self.take(job).await;
            }
        };
        // What is queued then is left out.
        let _ = stop.run_until_cancelled(writing).await;
    }

    async fn take(&mut self, job: Job) {
        let written = timeout(self.call_timeout, self.write(&job)).await;
        match written.unwrap_or(Err(StoreError::Silent)) {
            Ok(1..) => Outcome::Written.count(self.category, 1),
            Ok(0) => Outcome::Failed.count(self.category, 1),
            Err(error) => {
                self.session = None;
                Outcome::Failed.count(self.category, 1);
                tracing::debug!(stream = job.stream, %error, "a snapshot was not written");
            }
        }
    }

    async fn write(&mut self, job: &Job) -> Result<u64, StoreError> {
        let (client, statement) = match self.session.take() {
            Some(session) => session,
            None => {
                let client = self.database.connect("daybook snapshots").await?;
                let statement = client.prepare(&self.sql).await?;
                (client, statement)
            }
        };
        failpoint("snapshot-before-write");
        let Job { stream, state_version, version, event_id, epoch, state } = job;
        let rows = client
            .execute(&statement, &[stream, state_version, version, event_id, epoch, state])
            .await?;
        failpoint("snapshot-after-write");
        self.session = Some((client, statement));
        Ok(rows)
    }
}
