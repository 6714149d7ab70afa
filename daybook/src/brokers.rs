//! Where Kafka is, as the relays and the consumer are told: known from the start or when the embedded one is up, and
//! told anew when what it is shown has changed. Clients cannot take on anything else, so they are made anew.

use std::time::Duration;

use anyhow::Result;
use event_store::kafka::Brokers;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::settings::{Settings, usable};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Tells where Kafka is, until stopped; `embedded` is where the embedded one is, once it is up.
///
/// # Errors
/// If a file that the settings name cannot be read, or holds what cannot be used.
pub(crate) fn told(
    settings: &Settings,
    mut embedded: watch::Receiver<Option<String>>,
    stop: CancellationToken,
) -> Result<watch::Receiver<Option<Brokers>>> {
    if let Some(yours) = settings.brokers()? {
        let (tell, told) = watch::channel(Some(yours));
        if settings.kafka_has_files() {
            let keeping = keep(settings.clone(), tell);
            tokio::spawn(stop.run_until_cancelled_owned(keeping));
        }
        return Ok(told);
    }
    let (tell, told) = watch::channel(embedded.borrow_and_update().clone().map(Brokers::from));
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        while embedded.changed().await.is_ok() {
            tell.send_replace(embedded.borrow_and_update().clone().map(Brokers::from));
        }
    }));
    Ok(told)
}

/// Reads the files again and again. What cannot be used changes nothing, and is complained of once.
async fn keep(settings: Settings, tell: watch::Sender<Option<Brokers>>) {
    let mut last = Ok(tell.borrow().clone());
    loop {
        tokio::time::sleep(LOOK).await;
        let found = settings.brokers_unchecked().map_err(|error| format!("{error:#}"));
        if found == last {
            continue;
        }
        last.clone_from(&found);
        let usable = |found| usable(found).map_err(|error| format!("{error:#}"));
        match found.and_then(usable) {
            Ok(found) => {
                if tell.send_if_modified(|now| std::mem::replace(now, found.clone()) != found) {
                    tracing::info!("what Kafka is shown was read again; its clients begin anew");
                }
            }
            Err(error) => {
                tracing::error!(error, "what Kafka is to be shown stays what it was");
            }
        }
    }
}
