//! `daybook status`

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::settings::ReachFlags;

/// Show how Daybook is: its logs, the relay, the followers and their lag, what is due and late
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Status {
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ReachFlags,
}

const EXAMPLES: &str = "\
Examples:
  daybook status
  watch daybook status";

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        bail!("`daybook status` is not there yet")
    }
}
