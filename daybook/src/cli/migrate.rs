//! `daybook migrate`

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::reach::Reached;
use crate::settings::ReachFlags;

/// Lay or update the schemas, roles, tables and functions of services in their databases
///
/// `daybook serve` does this by itself, as a user who may create schemas and roles. Where it is to log in as a user who
/// may do no more than its service, `orders_service`, this command is run first, as one who may.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Migrate {
    #[command(flatten)]
    flags: ReachFlags,
}

const EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://admin:secret@db/shop daybook migrate
  daybook migrate --service orders --orders-database-url postgres://admin:secret@db/orders";

impl Migrate {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let reached = Reached::find(&self.flags).await?;
        let laid = lay(&reached).await;
        reached.leave().await;
        laid.map(|()| ExitCode::SUCCESS)
    }
}

async fn lay(reached: &Reached) -> Result<()> {
    for (service, database) in &reached.databases {
        let laid = event_store::migrate(database, service, reached.settings.partitions).await;
        laid.with_context(|| format!("the database of {service}"))?;
        println!(
            "{service}: laid; serve it as `{service}_service`, or as a user who may become that"
        );
    }
    Ok(())
}
