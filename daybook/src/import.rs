mod code;
mod country;
mod pence;
pub mod plan;
mod reader;
mod reject;
