//! The binary's tests: the shape of the workspace, and the real program from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod arrows;
mod containers;
mod embedded;
mod first;
mod support;
mod shop;
mod flash_sale;
mod import;
mod retail_totals;
mod settings;
