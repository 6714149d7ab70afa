//! `daybook config`

use std::process::ExitCode;

use clap::Args;

use crate::settings::{self, Loaded, ServeFlags};

/// Show every setting: its value in force, and where it came from
///
/// Settings are made in four places, each stronger than the one before: the default, the file
/// (--config, else daybook.toml in the current folder), the environment (DAYBOOK_… in capitals),
/// the flag. A key that does not exist is an error. Secrets are masked.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Config {
    /// Print a daybook.toml with every key and what it means instead
    #[arg(long)]
    template: bool,
    /// Print the bounds of every queue, batch, pool, wait and retry with their metrics, as a table in Markdown
    #[arg(long, conflicts_with = "template")]
    limits: bool,
    #[command(flatten)]
    flags: ServeFlags,
}

const EXAMPLES: &str = "\
Examples:
  daybook config
  DAYBOOK_LISTEN=0.0.0.0:80 daybook config --lanes 4
  daybook config --template > daybook.toml
  daybook config --limits";

impl Config {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.template {
            print!("{}", settings::template());
            return Ok(ExitCode::SUCCESS);
        }
        if self.limits {
            print!("{}", settings::limits());
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<_> = Loaded::of_this_process(&self.flags)?.rows().collect();
        let shown = |value: &Option<String>| match value.as_deref() {
            None => "(unset)".to_owned(),
            Some("") => "\"\"".to_owned(),
            Some(value) => value.to_owned(),
        };
        let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let key = width(&mut rows.iter().map(|row| row.key.len()));
        let value = width(&mut rows.iter().map(|row| shown(&row.value).chars().count()));
        for row in &rows {
            println!("{:key$}  {:value$}  {}", row.key, shown(&row.value), row.origin);
        }
        Ok(ExitCode::SUCCESS)
    }
}
