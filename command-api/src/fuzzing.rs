//! What fuzzing reaches, and nobody else.

pub use crate::orders::of_body as order;
