//! The binary as a later release would be, with a newer version of one event: the test that rolls from
//! one to the other builds it.

use std::process::ExitCode;

fn main() -> ExitCode {
    daybook::main()
}
