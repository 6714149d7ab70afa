use super::RebuildError;
use event_store::follow::{
    self, ApplyError, Batch, FollowLimits, ReadSide, discarded, parked_streams,
};
use event_store::{Recorded, StoreError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// What of a partition a generation is not to hold: events that somebody discarded, and streams of which one could not be
/// posted, from that one on.
pub(super) struct Aside {
    discarded: HashSet<Uuid>,
    parked: HashSet<String>,
    /// Of the events that were found to be to blame.
    reasons: HashMap<Uuid, String>,
}

impl Aside {
    pub(super) async fn load(
        read: &ReadSide,
        (name, generation): (&str, i32),
        service: &str,
        partition: i32,
    ) -> Result<Self, StoreError> {
        let discarded = discarded(read, name, service, partition).await?;
        let parked = parked_streams(read, (name, generation), service, partition).await?;
        Ok(Aside { discarded, parked, reasons: HashMap::new() })
    }

    /// A batch with what is to be posted, and apart from it what is to be parked.
    pub(super) fn apart(&self, batch: Batch) -> Batch {
        let kept = |event: &Arc<Recorded>| !self.discarded.contains(&event.event_id);
        let events = batch.events.into_iter().filter(kept);
        let (aside, events) = events.partition(|event| self.parked.contains(&event.stream));
        let aside: Vec<_> = aside;
        let parked = |event: Arc<Recorded>| {
            let reason = self.reasons.get(&event.event_id).cloned();
            follow::Aside { event, reason }
        };
        Batch { events, aside: aside.into_iter().map(parked).collect(), ..batch }
    }

    /// From now on an event is parked, and whatever comes behind it in its stream.
    ///
    /// # Errors
    /// If it may not be: a newer binary wrote it, or too many are parked already.
    pub(super) fn park(&mut self, event: &Recorded, error: ApplyError) -> Result<(), RebuildError> {
        let (position, stream) = (event.position(), event.stream.clone());
        let ApplyError::Poison(why) = error else {
            return Err(RebuildError::Event { position, stream, source: error });
        };
        let most = FollowLimits::default().parked;
        if self.reasons.len() >= most {
            let source = ApplyError::Poison(why);
            return Err(RebuildError::TooManyParked { most, position, stream, source });
        }
        self.parked.insert(stream);
        self.reasons.insert(event.event_id, why);
        Ok(())
    }
}
