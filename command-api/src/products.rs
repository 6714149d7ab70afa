mod list;
mod reprice;
mod rename;
mod discontinue;

pub(crate) use discontinue::{body as discontinue_body, discontinue};
pub(crate) use list::{body as list_body, list};
pub(crate) use rename::{body as rename_body, rename};
pub(crate) use reprice::{body as reprice_body, reprice};
