mod place;
mod cancel;
mod ship;

pub(crate) use cancel::cancel;
#[cfg(fuzzing)]
pub use place::of_body;
pub(crate) use place::place;
pub(crate) use ship::ship;
