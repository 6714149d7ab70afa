//! Sends a shop's history through the command endpoints of a running Daybook.
//!
//! Every command carries an `Idempotency-Key` made of the data set's name and the invoice, SKU or line it
//! comes from. So an import that was interrupted, or whose Daybook was killed, is simply run again: what
//! was done is answered as before and changes nothing.

mod client;
mod code;
mod country;
pub mod pence;
pub mod plan;
mod progress;
mod reader;
pub mod reject;
pub mod report;
mod sending;
mod settling;

use std::{fs::File, io, num::NonZero, path::PathBuf, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::time::Instant;

use self::{
    client::Client, plan::Plan, progress::Progress, reader::ReadError, report::Report,
    sending::Sending,
};

/// Send a shop's invoices, in the columns of *Online Retail*, to a running Daybook
///
/// It must run with `serve --accept-history`. Run again, an import goes on where it stopped, and changes
/// nothing if it was complete.
#[derive(Clone, Debug, clap::Args)]
pub struct Import {
    /// The CSV file of invoices
    pub file: PathBuf,
    /// Where Daybook listens; the command line says it, or finds it
    #[arg(skip)]
    pub url: String,
    /// Whom to trust there, and what to show him; none: whoever this machine trusts
    #[arg(skip)]
    pub tls: Option<Arc<ClientConfig>>,
    /// What it is shown, if it asks who we are
    #[arg(skip)]
    pub token: Option<String>,
    /// Name of the data set, by which a second run knows the first [default: the file's name]
    #[arg(long)]
    pub dataset: Option<String>,
    /// Commands in flight at once
    #[arg(long, default_value = "16")]
    pub concurrency: NonZero<u16>,
    /// Seconds without any progress after which to stop
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub give_up_after: u64,
    /// Write what was not sent or not taken to this CSV file: line, invoice, code, reason
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
}

/// Why an import did not begin, or could not write its reject report.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{} cannot be opened", file.display())]
    Open { file: PathBuf, source: io::Error },
    #[error("{} cannot be imported", file.display())]
    Read { file: PathBuf, source: ReadError },
    #[error("the reject report {} cannot be written", file.display())]
    Rejects { file: PathBuf, source: io::Error },
    #[error("{url} is not an address such as http://127.0.0.1:7400")]
    Url { url: String },
    #[error("the HTTP client cannot start")]
    Http(#[source] reqwest::Error),
}

impl Import {
    /// Plans the file and sends the plan. What happened on the way is in the report, a stop included.
    pub async fn run(&self) -> Result<Report, ImportError> {
        let began = Instant::now();
        let plan = self.plan()?;
        // Written now, so that a path that cannot be written is known before anything is sent.
        self.write_rejects(&plan.rejects)?;
        let progress = Progress::new(&plan);
        let client = Client::new(self, &progress)?;
        let sending = Sending::new(&plan, &client, &progress, self.dataset());
        let stopped = sending.run().await.err();
        progress.finish();
        let report = Report::new(self, &plan, sending.into_tally(), began.elapsed(), stopped);
        self.write_rejects(&report.rejects)?;
        Ok(report)
    }

    /// Reads the file and applies the rules, sending nothing.
    pub fn plan(&self) -> Result<Plan, ImportError> {
        let open = |source| ImportError::Open { file: self.file.clone(), source };
        let read = |source| ImportError::Read { file: self.file.clone(), source };
        let file = File::open(&self.file).map_err(open)?;
        Plan::read(io::BufReader::new(file)).map_err(read)
    }

    fn write_rejects(&self, rejects: &[reject::Reject]) -> Result<(), ImportError> {
        let Some(file) = &self.rejects else { return Ok(()) };
        File::create(file)
            .and_then(|to| reject::write(rejects, to))
            .map_err(|source| ImportError::Rejects { file: file.clone(), source })
    }

    /// The name in every idempotency key, of characters that a header may carry.
    fn dataset(&self) -> String {
        let file = || self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = self.dataset.clone().unwrap_or_else(file);
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
        name.chars().map(|c| if is_plain(&c) { c } else { '-' }).take(100).collect()
    }

    fn give_up_after(&self) -> Duration {
        Duration::from_secs(self.give_up_after)
    }
}
