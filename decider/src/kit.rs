pub use crate::Decider;
