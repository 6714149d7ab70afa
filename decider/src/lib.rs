//! Three pure shapes carry all behaviour: [`Decider`] turns commands into events, [`Owes`] says what
//! is still owed to the world, and a reaction (a plain function) turns another service's event into a command. Each has one
//! runner elsewhere that makes it real; nothing here reads a clock, mints an id or waits.

mod owes;
mod snapshot;
#[cfg(feature = "kit")]
pub mod kit;

pub use owes::{Due, Owes};
pub use snapshot::Snapshot;

use serde::{Deserializer, Serialize, de::DeserializeOwned};
use std::fmt;

/// A past-tense fact, and the form in which it is stored.
///
/// Its serde form is *externally tagged by its type*: `{"stock.reserved": {"order": …, "quantity": 3}}`,
/// so every variant is a struct variant (or a newtype of a struct) with
/// `#[serde(rename = "stock.reserved")]`. The log stores the tag as the event's type and the rest as its
/// payload. Variants are added and edited only together with their schema version; every version that was
/// ever stored is pinned by a test.
pub trait Event: Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static {
    /// Every type that this binary can read, with the schema version in which it writes it.
    const TYPES: &'static [(&'static str, i32)];

    /// Reads a payload of another schema version than the one in which this binary writes the type: of an
    /// earlier one, or of the next, so that readers can be deployed before writers. `None` if there is no
    /// such version.
    ///
    /// Each old version is a struct of its own that converts into the next, so a step that is missing
    /// does not compile, and one that is not named here is found by the test of the corpus:
    ///
    /// ```text
    /// match (event_type, schema_version) {
    ///     ("stock.received", 1) => Some(ReceivedV1::deserialize(payload).map(|v1| ReceivedV2::from(v1).into())),
    ///     ("stock.received", 2) => Some(ReceivedV2::deserialize(payload).map(Event::from)),
    ///     _ => None,
    /// }
    /// ```
    #[must_use]
    fn upcast<'de, D: Deserializer<'de>>(
        event_type: &str,
        schema_version: i32,
        payload: D,
    ) -> Option<Result<Self, D::Error>> {
        let _ = (event_type, schema_version, payload);
        None
    }
}

/// What decides: a pure function from a state and a command to events.
pub trait Decider: Send + Sync + 'static {
    /// The first word of the names of its streams: `stock` in `stock-85123A`.
    const CATEGORY: &'static str;
    /// An enum of life stages that holds only what decisions read; the default is the state before
    /// any event.
    type State: Default + Clone + fmt::Debug + Send + Sync + 'static;
    /// One intention, complete: ids, times and prices are in it.
    type Command: Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static;
    type Event: Event;
    type Rejection: std::error::Error + Clone + Send + Sync + 'static;

    /// Done already is `Ok(vec![])`, not allowed is `Err`, and when somebody must react it is an event.
    fn decide(
        state: &Self::State,
        command: &Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Whether the command is usually the first one of its stream: then it is decided on the state before any
    /// event without a look at the log. Should there be events, the append says so, and it is decided again.
    #[must_use]
    fn begins(command: &Self::Command) -> bool {
        let _ = command;
        false
    }

    /// Total: never fails and never decides.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;

    /// Folds events into a state.
    fn fold<'a>(
        state: Self::State,
        events: impl IntoIterator<Item = &'a Self::Event>,
    ) -> Self::State {
        events.into_iter().fold(state, Self::evolve)
    }
}
