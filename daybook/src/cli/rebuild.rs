//! `daybook rebuild`

mod outcome;
mod told;
mod which;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use event_store::follow::ReadSide;
use event_store::follow::Source;
use projections::{Check, Projection, Rebuilt, Verified, Work};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::reach::Reached;
use super::stopping::{at_work, before_it_began};
use crate::settings::ReachFlags;
use outcome::UNVERIFIED;
pub(super) use outcome::{Asked, REFUSED, if_rows_differ, refused, worst};
pub(super) use told::{Telling, differences, named};
pub(super) use which::{Which, names};

/// Post a read model again from the log, beside the live one, and change over
///
/// A new generation of its tables is filled from the log while the live one goes on answering. When it has caught up,
/// its rows are compared with those of the live one at the same place of the log; if they are the same it becomes
/// the live one, and running processes take it within a second. The log is only read. The old generation is kept
/// until the next rebuild, to go back to. While the live one falls behind, the rebuild stands back. While the owner of a
/// log elsewhere does not answer, it waits for him, ten minutes at most. Ctrl-C or SIGTERM drops what was built. Killed at
/// any moment it leaves the live generation as it was, and the next rebuild clears away what is left.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Rebuild {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    which: Which,
    /// Make it live without comparing its rows
    #[arg(long)]
    no_verify: bool,
    /// Make it live though its rows differ from the live ones: you know that those are wrong
    #[arg(long, conflicts_with = "no_verify")]
    accept_differences: bool,
    /// Print JSON lines: how far it is, and what came of it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ReachFlags,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Go back to the generation that was live before, once it has posted what came since
    #[command(after_long_help = CODES_OF_ROLLBACK)]
    Rollback {
        /// Which read model
        #[arg(value_name = "PROJECTION", value_parser = PossibleValuesParser::new(names()))]
        projection: String,
        #[command(flatten)]
        flags: ReachFlags,
    },
}

const EXAMPLES: &str = "\
Examples:
  daybook rebuild orders
  daybook rebuild --all --json
  daybook rebuild orders --accept-differences    after `daybook verify orders` named rows that are wrong
  daybook rebuild rollback orders

Exit codes:
  0  every generation that was asked for is live and verified
  3  live, and not verified: as was asked for with --no-verify or --accept-differences, or because
     parked events kept rows from being compared
  4  refused, and the old generation is live: rows differ, or another process is at it
  1  failed, and the old generation is live
  5  not known: the connection was lost as the new one was made live, and Postgres has not answered
     since; `daybook generations list` tells which one is
  130  stopped by Ctrl-C or SIGTERM; the last line says what is left
Of several read models the worst counts: 130, then 5, 1, 4, 3.";

const CODES_OF_ROLLBACK: &str = "\
Exit codes:
  0  the generation that was live before is live again
  4  refused, and nothing has changed: there is none to go back to, it has parked events, or another
     process is at it
  1  failed, and nothing has changed
  5  not known: the connection was lost as it was made live, and Postgres has not answered since;
     `daybook generations list` tells which one is live
  130  stopped by Ctrl-C or SIGTERM; the last line says what is left";

impl Rebuild {
    pub(super) async fn run(self) -> Result<ExitCode> {
        if let Some(Act::Rollback { projection, flags }) = &self.act {
            return roll_back(projection, flags).await;
        }
        let asked = self.which.asked()?;
        let check = match (self.no_verify, self.accept_differences) {
            (true, _) => Check::Trust,
            (false, true) => Check::Accept,
            (false, false) => Check::Verify,
        };
        at_work(&self.flags, async |reached, stop| {
            let here = self.which.here(asked, reached, self.json)?;
            reached.stand_back();
            rebuild_all((reached, stop), &here, check, self.json).await
        })
        .await
    }
}

/// The logs and read schemas that work on read models needs.
pub(super) struct Shelf {
    logs: Vec<Source>,
    reads: Vec<ReadSide>,
    stop: CancellationToken,
}

impl Shelf {
    /// The same for whoever writes: with the tables of this version of the program.
    async fn laid(reached: &Reached, stop: &CancellationToken) -> Result<Self> {
        for (service, database) in &reached.databases {
            event_store::lay(database, service, reached.settings.partitions).await?;
        }
        Self::of(reached, stop).await
    }

    pub(super) async fn of(reached: &Reached, stop: &CancellationToken) -> Result<Self> {
        let (logs, reads) = (reached.sources().await?, reached.reads()?);
        Ok(Shelf { logs, reads, stop: stop.clone() })
    }

    pub(super) fn work<'a>(
        &'a self,
        projection: &'a Arc<dyn Projection>,
        tell: projections::Tell,
    ) -> Result<Work<'a>> {
        let service = projection.layout().service;
        let Some(read) = self.reads.iter().find(|read| *read.service == *service) else {
            bail!("`{service}` is not here");
        };
        Ok(Work { projection, read, logs: &self.logs, tell, stop: self.stop.clone() })
    }
}

async fn rebuild_all(
    (reached, stop): (&Reached, &CancellationToken),
    asked: &[Arc<dyn Projection>],
    check: Check,
    json: bool,
) -> Result<ExitCode> {
    let Some(shelf) = stop.run_until_cancelled(Shelf::laid(reached, stop)).await else {
        return Ok(before_it_began());
    };
    let shelf = shelf?;
    let mut codes = Vec::new();
    for projection in asked {
        let telling = Telling::new(projection.layout().name, json);
        let work = shelf.work(projection, telling.tell())?;
        let rebuilt = projections::rebuild(&work, check).await;
        telling.finish();
        codes.push(match rebuilt {
            Ok(rebuilt) => said(&rebuilt, json)?,
            Err(error) => refused(projection.layout().name, Asked::Rebuild, &error, json),
        });
        if stop.is_cancelled() {
            break;
        }
    }
    Ok(worst(codes))
}

fn said(rebuilt: &Rebuilt, json: bool) -> Result<u8> {
    let verified = match &rebuilt.verified {
        Verified::Live { compared } | Verified::Replay { compared, .. } => compared.is_whole(),
        Verified::Accepted { .. } | Verified::Nothing => false,
    };
    let code = if verified { 0 } else { UNVERIFIED };
    if json {
        println!("{}", serde_json::to_string(rebuilt)?);
        return Ok(code);
    }
    let Rebuilt { projection, generation, events, left_out, parked, built, took, .. } = rebuilt;
    let seconds = built.as_secs_f64();
    let rate = *events as f64 / seconds.max(0.001);
    println!(
        "{projection}: generation {generation} is live; {events} events in {seconds:.2} s ({rate:.0}/s)"
    );
    if *left_out > 0 {
        println!("{projection}: {left_out} of them were discarded and left out");
    }
    if *parked > 0 {
        println!("{projection}: {parked} of them are parked: see daybook parked list");
    }
    let compared = match &rebuilt.verified {
        Verified::Nothing => {
            println!("{projection}: its rows were not verified");
            return Ok(code);
        }
        Verified::Accepted { compared } => {
            println!(
                "{projection}: {} of the old rows differ, and were replaced:\n{}",
                compared.differing(),
                differences(compared)
            );
            compared
        }
        Verified::Live { compared } => {
            let more = (*took - *built).as_secs_f64();
            println!(
                "{projection}: verified in {more:.2} s: its {} rows are those of the old generation",
                compared.rows()
            );
            compared
        }
        Verified::Replay { compared, against, changes, changes_unknown, .. } => {
            let more = (*took - *built).as_secs_f64();
            println!(
                "{projection}: verified in {more:.2} s by a second replay of its {} rows, which shows that they come \
                 out the same each time, and no more",
                compared.rows()
            );
            if let Some((version, changes)) = against.zip(changes.as_ref()) {
                println!(
                    "{projection}: {} of {} rows are not those of version {version}{}",
                    changes.differing(),
                    changes.rows(),
                    differences(changes)
                );
            }
            if let Some((version, why)) = against.zip(changes_unknown.as_ref()) {
                println!(
                    "{projection}: what has changed against version {version} is not known: {why}"
                );
            }
            compared
        }
    };
    for table in compared.tables.iter().filter(|table| table.left_out.is_some()) {
        let why = table.left_out.unwrap_or_default();
        println!("{projection}: the table {} was not compared: {why}", table.table);
    }
    for stream in &compared.parked {
        println!("{projection}: {stream}");
    }
    Ok(code)
}

async fn roll_back(name: &str, flags: &ReachFlags) -> Result<ExitCode> {
    at_work(flags, async |reached, stop| {
        let Some(shelf) = stop.run_until_cancelled(Shelf::laid(reached, stop)).await else {
            return Ok(before_it_began());
        };
        let (shelf, all) = (shelf?, projections::all());
        let Some(projection) = all.iter().find(|it| it.layout().name == name) else {
            bail!("there is no read model {name}");
        };
        let telling = Telling::new(projection.layout().name, false);
        let work = shelf.work(projection, telling.tell())?;
        let back = projections::roll_back(&work).await;
        telling.finish();
        Ok(match back {
            Ok(generation) => {
                println!("{name}: generation {generation} is live again");
                ExitCode::SUCCESS
            }
            Err(error) => refused(name, Asked::RollBack, &error, false).into(),
        })
    })
    .await
}
