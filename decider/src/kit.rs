//! Given these events, when this command comes, then these events follow.
//!
//! ```text
//! given::<Stock>([received(10)])
//!     .when(reserve(order, 3))
//!     .then([reserved(order, 3)])
//!     .when(release(order))
//!     .then([released(order, 3)]);
//! ```

use crate::{Decider, Due, Owes};
use std::fmt::Debug;

/// The state after a history.
pub fn given<D: Decider>(history: impl IntoIterator<Item = D::Event>) -> Given<D> {
    Given { state: history.into_iter().fold(D::State::default(), |s, e| D::evolve(s, &e)) }
}

/// A stream with a history. Made by [`given`], or by what has just been decided.
pub struct Given<D: Decider> {
    state: D::State,
}

/// A decision that is still to be looked at.
#[must_use = "say what then"]
pub struct Decided<D: Decider> {
    state: D::State,
    decision: Result<Vec<D::Event>, D::Rejection>,
}

impl<D: Decider> Given<D> {
    pub fn when(self, command: D::Command) -> Decided<D> {
        let decision = D::decide(&self.state, &command);
        Decided { state: self.state, decision }
    }

    /// As [`Given::when`], and the same command comes a second time.
    ///
    /// # Panics
    /// If the second time anything happens.
    #[track_caller]
    pub fn when_twice(self, command: D::Command) -> Decided<D> {
        let decision = D::decide(&self.state, &command);
        let events = decision.as_deref().unwrap_or_default();
        let after = D::fold(self.state.clone(), events);
        if let Ok(again) = D::decide(&after, &command) {
            assert!(again.is_empty(), "{command:?} a second time made {again:?}");
        }
        Decided { state: self.state, decision }
    }

    pub fn state(&self) -> &D::State {
        &self.state
    }
}

impl<D: Owes> Given<D> {
    /// # Panics
    /// If the keys of all that is owed are not exactly these, in this order.
    #[track_caller]
    pub fn owes<'a>(self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let owed: Vec<String> = D::pending(&self.state).into_iter().map(|due| due.key).collect();
        assert_eq!(owed, keys.into_iter().collect::<Vec<_>>(), "what is owed");
        self
    }

    /// What is owed under this key.
    ///
    /// # Panics
    /// If nothing is.
    #[track_caller]
    pub fn due(&self, key: &str) -> Due<D::Request> {
        let mut owed = D::pending(&self.state);
        let place = owed.iter().position(|due| due.key == key);
        owed.remove(place.unwrap_or_else(|| panic!("{key} is not among what is owed: {owed:?}")))
    }
}

impl<D: Decider> Decided<D> {
    /// # Panics
    /// If the decision is another.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) -> Given<D>
    where
        D::Event: PartialEq,
    {
        match self.decision {
            Ok(events) => {
                assert_eq!(events, expected.into_iter().collect::<Vec<_>>(), "what follows");
                Given { state: D::fold(self.state, &events) }
            }
            Err(rejection) => panic!("rejected: {rejection}"),
        }
    }

    /// Done already, or of no matter.
    ///
    /// # Panics
    /// If the decision is another.
    #[track_caller]
    pub fn then_nothing(self) -> Given<D>
    where
        D::Event: PartialEq,
    {
        self.then([])
    }

    /// # Panics
    /// If the decision is another.
    #[track_caller]
    pub fn then_rejected(self, expected: D::Rejection) -> Given<D>
    where
        D::Rejection: PartialEq + Debug,
    {
        match self.decision {
            Ok(events) => panic!("not rejected: {events:?}"),
            Err(rejection) => assert_eq!(rejection, expected, "the rejection"),
        }
        Given { state: self.state }
    }
}

#[cfg(test)]
mod tests;
