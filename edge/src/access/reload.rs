//! What is trusted changes while the process runs: a file is read again when it changes, and when somebody says so.

use super::credentials::{Credentials, stamps};
use super::{Access, Inner};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Access {
    /// Reads the files again whenever they change, or `told` says so, until `stop`. A bad file is refused and told of;
    /// what was in force stays.
    pub async fn keep_up(self, mut told: watch::Receiver<()>, stop: CancellationToken) {
        let Some(inner) = self.inner else { return };
        let mut refused = None;
        loop {
            let was_told = tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = told.changed() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let now = stamps(&inner.settings);
            // A bad file is told of once, not every second.
            let is_new = now != inner.credentials().stamps && Some(now) != refused;
            if was_told || is_new {
                refused = (!inner.reload()).then_some(now);
            }
            metrics::gauge!("daybook_auth_tokens_known").set(inner.known.len() as f64);
        }
    }
}

impl Inner {
    /// Whether the files are in force now.
    pub(super) fn reload(&self) -> bool {
        let before = self.credentials();
        match Credentials::read(&self.settings, Some(&before)) {
            Ok(credentials) => {
                self.replace(credentials);
                tracing::info!("what is trusted was read again");
                metrics::counter!("daybook_auth_reloads_total", "outcome" => "ok").increment(1);
                true
            }
            Err(error) => {
                let error = error.to_string();
                tracing::error!(error, "what is trusted stays as it was: a file is refused");
                metrics::counter!("daybook_auth_reloads_total", "outcome" => "refused")
                    .increment(1);
                false
            }
        }
    }
}
