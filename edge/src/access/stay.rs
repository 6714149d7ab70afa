//! How long somebody may stay who is answered without an end.

use super::guard::unknown_caller;
use super::{Inner, Known, Unknown, Why, identify};
use crate::{Problem, clock};
use http::HeaderValue;
use std::{fmt, sync::Arc, time::Duration};

/// What a request showed, for as long as it is good. It stands in the extensions of a request whose caller is known.
#[derive(Clone)]
pub struct Stay {
    pub(super) inner: Arc<Inner>,
    pub(super) shown: HeaderValue,
    pub(super) known: Arc<Known>,
}

/// The clock may be set meanwhile, and an issuer may withdraw a key.
const LOOK_EVERY: i64 = 60;

impl Stay {
    /// Waits until what was shown is not believed any more, or not what it was: it has expired, was revoked, or is another
    /// thing by what is trusted now.
    pub async fn ended(&mut self) {
        loop {
            let mut changed = self.inner.credentials.subscribe();
            let is_in_force = self.known.is_in_force(&changed.borrow_and_update());
            if !is_in_force && !self.is_still_good().await {
                return;
            }
            let left = self.known.until.saturating_sub(clock::now().timestamp());
            let Ok(left @ 1..) = u64::try_from(left.min(LOOK_EVERY)) else { return };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(left)) => {}
                _ = changed.changed() => {}
            }
        }
    }

    /// 401, as for whoever shows it once more.
    #[must_use]
    pub fn refusal(&self) -> Problem {
        unknown_caller(Unknown { why: Why::Ended, waits: None })
    }

    /// By what is trusted now.
    async fn is_still_good(&mut self) -> bool {
        let Ok(credential) = identify::bearer(&self.shown) else { return false };
        let Ok(known) = self.inner.find(credential, None).await else { return false };
        let is_the_same = known.identity == self.known.identity;
        self.known = known;
        is_the_same
    }
}

impl fmt::Debug for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stay of {}", self.known.identity.subject)
    }
}
