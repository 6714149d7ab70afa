//! What may change without a restart.

use tokio::signal::unix::{SignalKind, signal};

use crate::settings::{Loaded, ServeFlags};
use crate::shop::Rates;

/// Reads the settings again at each SIGHUP, and puts in force what may change while the process runs. Settings that
/// cannot be read change nothing.
pub(super) async fn on_hangup(flags: ServeFlags, rates: Rates) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    let outcome = |outcome| metrics::counter!("daybook_reloads_total", "outcome" => outcome);
    let (taken, refused) = (outcome("taken"), outcome("refused"));
    while hangups.recv().await.is_some() {
        match Loaded::of_this_process(&flags) {
            Ok(loaded) => {
                rates.set(&loaded.settings);
                taken.increment(1);
                tracing::warn!("the settings were read again: the limits of callers are in force");
            }
            Err(error) => {
                refused.increment(1);
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::error!(error, "the settings cannot be read; the old ones stay in force");
            }
        }
    }
}
