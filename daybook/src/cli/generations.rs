//! `daybook generations`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use projections::{Generation, generations};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::reach::Reached;
use super::rebuild::{REFUSED, Shelf, named, names};
use crate::settings::ReachFlags;

/// List the generations of read models, and drop old ones
///
/// A read model is posted into tables of its own for each generation. One generation of each version of the program
/// is live; the one before it is kept, to go back to with `daybook rebuild rollback`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Generations {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List them
    List {
        /// Only those of this read model
        #[arg(value_name = "PROJECTION", value_parser = PossibleValuesParser::new(names()))]
        projection: Option<String>,
        /// Print JSON lines instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: ReachFlags,
    },
    /// Drop one that nobody needs: neither the live one, nor one that a process follows
    #[command(after_long_help = CODES_OF_DROP)]
    Drop {
        /// Of which read model
        #[arg(value_name = "PROJECTION", value_parser = PossibleValuesParser::new(names()))]
        projection: String,
        /// Its number, as `list` shows it
        generation: i32,
        #[command(flatten)]
        flags: ReachFlags,
    },
}

const EXAMPLES: &str = "\
Examples:
  daybook generations list
  daybook generations drop orders 3";

const CODES_OF_DROP: &str = "\
Exit codes:
  0  it is gone
  4  refused, and nothing is dropped: it is live, a process follows it, a newer version of the
     program has made it, there is none of that number, or another process rebuilds the read model
  1  failed; `daybook generations list` tells whether it is gone";

impl Generations {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let (Act::List { flags, .. } | Act::Drop { flags, .. }) = &self.act;
        let reached = Reached::find(flags).await?;
        let done = match &self.act {
            Act::List { projection, json, .. } => {
                list(&reached, projection.as_deref(), *json).await.map(|()| ExitCode::SUCCESS)
            }
            Act::Drop { projection, generation, .. } => {
                drop_one(&reached, projection, *generation).await
            }
        };
        reached.leave().await;
        done
    }
}

async fn list(reached: &Reached, only: Option<&str>, json: bool) -> Result<()> {
    let reads = reached.reads()?;
    if !json {
        println!(
            "{:14} {:>7} {:>10} {:9} {:20} {:>12} {:>10}",
            "projection", "version", "generation", "state", "made", "events", "bytes"
        );
    }
    for projection in projections::all() {
        let layout = projection.layout();
        let read = reads.iter().find(|read| *read.service == *layout.service);
        let (Some(read), true) = (read, only.is_none_or(|only| only == layout.name)) else {
            continue;
        };
        for it in generations(layout, read).await? {
            if json {
                println!("{}", serde_json::to_string(&it)?);
                continue;
            }
            let Generation { projection, version, generation, state, created_at, events, bytes } =
                it;
            let made = created_at.format("%Y-%m-%d %H:%M:%S");
            let bytes = HumanBytes(bytes.unsigned_abs()).to_string();
            println!(
                "{projection:14} {version:>7} {generation:>10} {state:9} {made:20} {events:>12} {bytes:>10}"
            );
        }
    }
    Ok(())
}

async fn drop_one(reached: &Reached, name: &str, generation: i32) -> Result<ExitCode> {
    let shelf = Shelf::of(reached, &CancellationToken::new()).await?;
    let all = projections::all();
    let Some(projection) = all.iter().find(|it| it.layout().name == name) else {
        bail!("there is no read model {name}");
    };
    let work = shelf.work(projection, Arc::new(|_| {}))?;
    match projections::drop_one(&work, generation).await {
        Ok(()) => {
            println!("{name}: generation {generation} is gone");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.is_refusal() => {
            eprintln!("daybook: {}", named(&error));
            Ok(REFUSED.into())
        }
        Err(error) => Err(error.into()),
    }
}
