//! `daybook completions`

use std::io;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// Print a script that completes Daybook's commands and flags in your shell
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Completions {
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  source <(daybook completions bash)
  daybook completions zsh > ~/.zfunc/_daybook
  daybook completions fish > ~/.config/fish/completions/daybook.fish";

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        clap_complete::generate(self.shell, &mut Cli::command(), "daybook", &mut io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
