//! Places for requests that take long: so many in all, and for each caller who is known no more than a quarter of them, so
//! that one cannot hold them all.

use crate::Identity;
use http::Extensions;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Clones share them.
#[derive(Clone, Debug)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: Arc<Semaphore>,
    each: usize,
    /// How many each known caller has; none has nought.
    taken: Mutex<HashMap<Arc<str>, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    of: Option<(Places, Arc<str>)>,
}

impl Places {
    #[must_use]
    pub fn new(most: usize) -> Self {
        let all = Arc::new(Semaphore::new(most));
        Places(Arc::new(Inner { all, each: most.div_ceil(4), taken: Mutex::default() }))
    }

    /// A place for whoever asks, if there is one for him.
    #[must_use]
    pub fn take(&self, asker: &Extensions) -> Option<Place> {
        self.take_for(asker.get::<Arc<Identity>>().map(|it| it.subject.clone()))
    }

    fn take_for(&self, who: Option<Arc<str>>) -> Option<Place> {
        let permit = self.0.all.clone().try_acquire_owned().ok()?;
        if let Some(who) = &who {
            let mut taken = self.taken();
            let his = taken.get(who).copied().unwrap_or_default();
            if his >= self.0.each {
                return None;
            }
            taken.insert(who.clone(), his + 1);
        }
        Some(Place { _permit: permit, of: who.map(|who| (self.clone(), who)) })
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.all.available_permits()
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, who)) = &self.of else { return };
        let mut taken = places.taken();
        match taken.get_mut(who) {
            Some(his) if *his > 1 => *his -= 1,
            Some(_) | None => drop(taken.remove(who)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_known_has_a_quarter_at_most_and_gives_back_what_he_leaves() {
        let places = Places::new(8);
        let take = |who: &str| places.take_for(Some(who.into()));
        let held = [take("ann").unwrap(), take("ann").unwrap()];
        assert!(take("ann").is_none());
        let bob = take("bob").unwrap();
        assert_eq!(places.left(), 5);
        drop(held);
        assert!(take("ann").is_some());
        drop(bob);
        assert_eq!((places.left(), places.taken().len()), (8, 0));
    }

    #[test]
    fn where_nobody_is_known_they_are_for_all() {
        let places = Places::new(2);
        let held = [places.take_for(None), places.take_for(None)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take_for(None).is_none());
    }
}
