//! `daybook sandbox-provider`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use edge::telemetry::{self, LogFormat};
use tokio_util::sync::CancellationToken;

use super::serve::{listen, told_to_stop};

/// Run the sandbox payment provider on its own
///
/// It speaks Stripe's wire format, knows Stripe's test payment methods and moves no money. It keeps
/// a book of its own, so that what it was asked can be compared with what Daybook's log says.
/// `serve` has one inside unless provider_url is set.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct SandboxProvider {
    /// Where to listen; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7401")]
    listen: SocketAddr,
    /// Its book, a file of JSON lines; made if it is not there
    #[arg(long, value_name = "FILE", default_value = ".daybook/sandbox.book")]
    book: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  daybook sandbox-provider
  daybook serve --provider-url http://127.0.0.1:7401";

impl SandboxProvider {
    pub(super) async fn run(self) -> Result<ExitCode> {
        telemetry::init(LogFormat::Text, "info")?;
        if let Some(folder) = self.book.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let listener = listen(self.listen).await?;
        println!("Sandbox provider on http://{}", listener.local_addr()?);
        println!("  its book: {}", self.book.display());
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        tokio::spawn(async move {
            told_to_stop().await;
            stopping.cancel();
        });
        sagas::sandbox::run(listener, &self.book, stop).await?;
        Ok(ExitCode::SUCCESS)
    }
}
