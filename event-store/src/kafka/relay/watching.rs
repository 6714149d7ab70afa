use super::{RelayState, RelayStatus};
use crate::{Log, Progress, Watermark};
use tokio::sync::watch;

/// Watches a relay from the outside.
pub struct RelayWatch {
    log: Log,
    status: watch::Receiver<RelayStatus>,
    watermark: Watermark,
}

impl RelayWatch {
    pub(super) fn new(log: Log, status: watch::Receiver<RelayStatus>) -> Self {
        RelayWatch { log, status, watermark: Watermark::default() }
    }

    /// Looks again; should be done every few seconds. None while another process relays.
    pub fn look(&mut self) -> Option<Progress> {
        let status = self.status.borrow();
        if status.state == RelayState::Elsewhere {
            return None;
        }
        let heads: i64 = self.log.known_heads().borrow().iter().sum();
        let relayed: i64 = status.partitions.iter().map(|part| part.relayed).sum();
        let behind = (heads - relayed).max(0);
        let still = self.watermark.look(relayed, behind);
        Some(Progress { name: self.log.service().to_string(), behind, still })
    }

    /// Why it does not go on, if it says so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match &self.status.borrow().state {
            RelayState::Waiting | RelayState::Elsewhere | RelayState::Up => None,
            RelayState::Down(why) | RelayState::Refused(why) => Some(why.clone()),
        }
    }
}
