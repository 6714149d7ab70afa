mod place;
mod cancel;
mod ship;

pub(crate) use cancel::cancel;
pub(crate) use place::place;
#[cfg(fuzzing)]
pub use place::of_body;
pub(crate) use ship::ship;
