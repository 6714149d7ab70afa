use edge::{Breaker, Lines, Peer};

use crate::settings::Limits;

/// Whom this process calls. What it knows of them it keeps when the settings change.
#[derive(Clone, Default)]
pub struct Called {
    pub(super) peers: Vec<Peer>,
    /// Before the payment provider, if this process asks him.
    pub(super) provider: Option<Breaker>,
}

impl Called {
    /// From now on they are left alone after so many failures, for so long.
    pub fn set(&self, limits: &Limits) {
        self.peers.iter().for_each(|peer| peer.breaker().set(limits.peer().breaker));
        if let Some(provider) = &self.provider {
            provider.set(limits.breaker());
        }
    }

    /// From now on the services among them are asked over these connections.
    pub fn set_lines(&self, lines: &Lines) {
        self.peers.iter().for_each(|peer| peer.set_lines(lines.clone()));
    }
}
