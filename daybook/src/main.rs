//! The binary.

use std::process::ExitCode;

/// A command is hundreds of small allocations on many threads; the system's allocator takes a fifth of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    daybook::main()
}
