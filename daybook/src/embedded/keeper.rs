//! Servers that die are started again, for as long as Daybook runs.

use std::error::Error;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::error::EmbeddedError;
use super::kafka::{Kafka, KafkaSettings};
use super::postgres::{Postgres, PostgresSettings};
use super::runtime::Announcement;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A disk that was full has room again without telling anybody.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Watches a running Postgres, and stops it when Daybook stops. It comes back on the same port, for
/// every pool has that address.
pub(super) async fn keep_postgres(
    first: Postgres,
    settings: PostgresSettings,
    stopping: CancellationToken,
) {
    let settings = PostgresSettings { port: first.port(), ..settings };
    let mut running = Some(first);
    let mut pause = FIRST_PAUSE;
    while !stopping.is_cancelled() {
        if let Some(postgres) = running.take() {
            tokio::select! {
                () = stopping.cancelled() => return postgres.stop().await,
                () = postgres.process().ended() => tracing::error!("Postgres ended: started again"),
            }
        }
        // Not broken off by a stop: it takes a second, and half a start would leave a server
        // behind.
        match Postgres::start(&settings).await {
            Ok(postgres) => (running, pause) = (Some(postgres), FIRST_PAUSE),
            Err(error) => pause = fail("Postgres", error, pause, &stopping).await,
        }
    }
    if let Some(postgres) = running {
        postgres.stop().await;
    }
}

/// Starts Kafka, says where it is, watches it, and stops it when Daybook stops.
pub(super) async fn keep_kafka(
    settings: KafkaSettings,
    brokers: watch::Sender<Option<String>>,
    announcement: Announcement,
    stopping: CancellationToken,
) {
    let mut settings = settings;
    let mut pause = FIRST_PAUSE;
    loop {
        let started = tokio::select! {
            () = stopping.cancelled() => return Kafka::end_leftover(&settings).await,
            started = Kafka::start(&settings) => started,
        };
        match started {
            Ok(kafka) => {
                // Clients keep the address and come back by themselves, so it stays announced from
                // now on.
                settings.port = kafka.port();
                tracing::info!(brokers = kafka.brokers(), "Kafka is up");
                brokers.send_replace(Some(kafka.brokers()));
                announcement.update(|runtime| runtime.kafka_brokers = Some(kafka.brokers()));
                pause = FIRST_PAUSE;
                tokio::select! {
                    () = stopping.cancelled() => return kafka.stop().await,
                    () = kafka.process().ended() => tracing::error!("Kafka ended: started again"),
                }
            }
            Err(error) => pause = fail("Kafka", error, pause, &stopping).await,
        }
    }
}

/// Says why a start failed and waits before the next; returns how long to wait the time after.
async fn fail(
    server: &str,
    error: EmbeddedError,
    pause: Duration,
    stopping: &CancellationToken,
) -> Duration {
    tracing::error!(error = &error as &dyn Error, again_in = ?pause, "{server} did not start");
    tokio::select! {
        () = stopping.cancelled() => {}
        () = sleep(pause) => {}
    }
    (pause * 2).min(LONGEST_PAUSE)
}
