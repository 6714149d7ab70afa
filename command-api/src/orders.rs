mod place;
mod cancel;
mod ship;

pub(crate) use cancel::cancel;
pub(crate) use place::place;
pub(crate) use ship::ship;
