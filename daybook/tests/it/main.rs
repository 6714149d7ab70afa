//! The binary's tests: the shape of the workspace, and the real program from the outside.

mod arrows;
mod embedded;
mod import;
mod retail_totals;
