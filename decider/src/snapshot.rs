use crate::Decider;
use serde::{Serialize, de::DeserializeOwned};

/// A decider whose streams grow without end. Its folded state is kept beside the log now and then, so that who
/// decides on a long stream does not begin with its first event. Nothing rests on what is kept: the log has it all.
pub trait Snapshot: Decider<State: Serialize + DeserializeOwned> {
    /// Of the state's form and of what the fold makes of events. Raise it with every change of either, and with
    /// every event that is new or has a new schema version: a state that was kept under another number is not
    /// looked at, so neither does a newer binary take over what an older one folded, nor does an older one decide
    /// on events that it does not know.
    const STATE_VERSION: i32;
}
