//! Where Kafka is, as the relays and the consumer are told: known from the start, or when the embedded one is up. What a
//! Kafka of yours is shown is told anew by the reloader. Clients cannot take on anything else, so they are made anew.

use anyhow::Result;
use event_store::kafka::Brokers;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

/// Tells where Kafka is, until stopped; `embedded` is where the embedded one is, once it is up. Whoever has the answer may
/// tell it too.
///
/// # Errors
/// If a file that the settings name cannot be read, or holds what cannot be used.
pub(crate) fn tell(
    settings: &Settings,
    mut embedded: watch::Receiver<Option<String>>,
    stop: CancellationToken,
) -> Result<watch::Sender<Option<Brokers>>> {
    if let Some(yours) = settings.brokers()? {
        return Ok(watch::Sender::new(Some(yours)));
    }
    let tell = watch::Sender::new(embedded.borrow_and_update().clone().map(Brokers::from));
    let telling = tell.clone();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        while embedded.changed().await.is_ok() {
            telling.send_replace(embedded.borrow_and_update().clone().map(Brokers::from));
        }
    }));
    Ok(tell)
}
