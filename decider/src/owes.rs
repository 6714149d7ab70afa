use crate::Decider;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, time::Duration};

/// Something that a decider still owes the world: a request to make or a deadline to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due<R> {
    /// Names the due in its stream, and is used once in the stream's life: a new attempt is a new key.
    pub key: String,
    /// How long after the event that made it pending it is to be done.
    pub delay: Duration,
    pub request: R,
}

/// A decider that owes requests. A saga is nothing more than that.
pub trait Owes: Decider {
    type Request: Serialize
        + DeserializeOwned
        + Clone
        + fmt::Debug
        + PartialEq
        + Send
        + Sync
        + 'static;

    /// All that is owed in this state. What settles a due is the next event that makes it vanish here.
    fn pending(state: &Self::State) -> Vec<Due<Self::Request>>;
}
