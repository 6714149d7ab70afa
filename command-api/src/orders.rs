mod place;
mod cancel;
mod ship;

pub(crate) use cancel::{body as cancel_body, cancel};
#[cfg(fuzzing)]
pub use place::of_body;
pub(crate) use place::{body as place_body, place};
pub(crate) use ship::{body as ship_body, ship};
