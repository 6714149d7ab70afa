//! A state folded from the log, and where such states are kept in memory.

use super::Inner;
use super::snapshots::Taken;
use crate::{Position, Recorded, StoreError};
use decider::Decider;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use uuid::Uuid;

/// A state, the version it is folded to, and where the stream's last event lies.
pub(super) struct Folded<D: Decider> {
    pub(super) state: D::State,
    pub(super) version: i64,
    /// The epoch that was known before it was read: in a newer one its events may be lost.
    pub(super) epoch: i32,
    pub(super) position: Option<Position>,
    /// Of the last event.
    pub(super) event_id: Uuid,
    /// An upper bound of what the state holds: its last snapshot, and the payloads folded since.
    pub(super) bytes: usize,
    pub(super) taken: Taken,
    /// For so many more turns it is taken to be appended to by another process too.
    pub(super) contended: u8,
}

/// Turns in which nothing was seen of another process until there are none any more.
pub(super) const CONTENDED: u8 = 8;

impl<D: Decider> Clone for Folded<D> {
    fn clone(&self) -> Self {
        Folded {
            state: self.state.clone(),
            version: self.version,
            epoch: self.epoch,
            position: self.position.clone(),
            event_id: self.event_id,
            bytes: self.bytes,
            taken: self.taken,
            contended: self.contended,
        }
    }
}

#[derive(Clone)]
pub(super) struct Weight;

impl<D: Decider> Weighter<String, Folded<D>> for Weight {
    fn weight(&self, stream: &String, folded: &Folded<D>) -> u64 {
        (stream.len() + folded.bytes + 256) as u64
    }
}

/// Of one shard: each of several takes no more than its share of the bytes, and the state of the busiest
/// stream would be the first that is never kept, and is folded again for every batch.
pub(super) fn cache<V: Clone, W: Weighter<String, V> + Clone>(
    bytes: u64,
    weight: W,
) -> Cache<String, V, W> {
    const ITEMS: usize = 10_000;
    let options = OptionsBuilder::new()
        .estimated_items_capacity(ITEMS)
        .weight_capacity(bytes)
        .shards(1)
        .build()
        .expect("both capacities are given");
    Cache::with_options(options, weight, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

/// Events that are read at once.
const PAGE: i64 = 1_000;

impl<D: Decider> Folded<D> {
    /// Before any event.
    pub(super) fn nothing(epoch: i32) -> Self {
        let (state, event_id, taken) = (D::State::default(), Uuid::nil(), Taken::default());
        Folded { state, version: 0, epoch, position: None, event_id, bytes: 0, taken, contended: 0 }
    }

    fn fold(&mut self, recorded: &Recorded) -> Result<(), StoreError> {
        let event = recorded.decode::<D::Event>().map_err(|source| {
            let stream = recorded.stream.clone();
            StoreError::Undecodable { stream, event: recorded.event_id, source }
        })?;
        self.state = D::evolve(std::mem::take(&mut self.state), &event);
        self.bytes += recorded.payload.len();
        Ok(())
    }

    /// Takes the last event of a page as the one that the state is folded to.
    pub(super) fn ends_at(&mut self, last: &Recorded) {
        self.version = last.version;
        self.event_id = last.event_id;
        self.position = Some(last.position());
    }
}

impl<D: Decider> Inner<D> {
    /// Folds a stream from the log, from its snapshot on if there is one.
    pub(super) async fn load(&self, stream: &str) -> Result<Folded<D>, StoreError> {
        let mut folded = Folded::<D>::nothing(self.log.epoch_of(stream));
        let page = match &self.snapshots {
            Some(snapshots) => snapshots.begin(&self.log, stream, &mut folded, PAGE).await?,
            None => self.log.read_stream(stream, 0, PAGE).await?,
        };
        self.fold_on(stream, folded, page).await
    }

    /// Goes on from a state that others have appended to, when what they are just appending is there too: it would
    /// else be outdated before it is used. Where the log no longer holds what the state was folded to, it begins anew.
    pub(super) async fn catch_up(
        &self,
        stream: &str,
        mut folded: Folded<D>,
    ) -> Result<Folded<D>, StoreError> {
        let before = folded.version - 1;
        let mut page = self.log.read_stream_in_turn(stream, before, PAGE + 1).await?.into_iter();
        let last = page.next();
        if last.is_none_or(|e| (e.version, e.event_id) != (folded.version, folded.event_id)) {
            return self.load(stream).await;
        }
        folded.contended =
            if page.len() > 0 { CONTENDED } else { folded.contended.saturating_sub(1) };
        self.fold_on(stream, folded, page.collect()).await
    }

    async fn fold_on(
        &self,
        stream: &str,
        mut folded: Folded<D>,
        mut page: Vec<Recorded>,
    ) -> Result<Folded<D>, StoreError> {
        let mut events = 0;
        loop {
            page.iter().try_for_each(|recorded| folded.fold(recorded))?;
            events += page.len();
            if let Some(last) = page.last() {
                folded.ends_at(last);
            }
            if (page.len() as i64) < PAGE {
                metrics::histogram!("daybook_transact_loaded_events").record(events as f64);
                return Ok(folded);
            }
            page = self.log.read_stream(stream, folded.version, PAGE).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Itself;

    impl Weighter<String, u64> for Itself {
        fn weight(&self, _: &String, weight: &u64) -> u64 {
            *weight
        }
    }

    #[test]
    fn a_stream_of_half_the_cache_is_kept() {
        let cache = cache(1 << 20, Itself);
        cache.insert("stock-1".into(), 1 << 19);
        assert_eq!(cache.get("stock-1"), Some(1 << 19));
    }
}
