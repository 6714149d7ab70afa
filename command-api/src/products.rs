mod list;
mod reprice;
mod rename;
mod discontinue;

pub(crate) use discontinue::discontinue;
pub(crate) use list::list;
pub(crate) use rename::rename;
pub(crate) use reprice::reprice;
