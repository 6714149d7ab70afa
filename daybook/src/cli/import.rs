//! `daybook import`

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::reach::Way;
use crate::settings::{Loaded, ReachFlags};

/// Send a shop's history through the command endpoints of a running Daybook
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
#[group(skip)]
pub(super) struct Import {
    #[command(flatten)]
    import: crate::import::Import,
    /// Where Daybook listens [default: where the one that runs on the data folder does, else `listen`]
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    flags: ReachFlags,
}

const EXAMPLES: &str = "\
Examples:
  daybook serve --accept-history
  daybook import data/online-retail-10k.csv
  daybook import data/online-retail-10k.csv --rejects rejects.csv --concurrency 64";

impl Import {
    /// The exit code is 0 only if everything was taken and every order is shipped or cancelled.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = Loaded::of_this_process(&self.flags)?.settings;
        let way = match self.url {
            Some(url) => Way::to(url, &settings)?,
            None => Way::of(&settings)?,
        };
        let Way { url, tls, token } = way;
        let tls = tls.map(Arc::new);
        let report = crate::import::Import { url, tls, token, ..self.import }.run().await?;
        println!("{report}");
        Ok(if report.is_settled() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
