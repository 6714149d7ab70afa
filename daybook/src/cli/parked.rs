//! `daybook parked`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use event_store::Position;
use event_store::follow::{Parked as Event, ReadSide, Which, discard, parked, retry};
use projections::LoggedEvent;
use std::time::Duration;

use super::reach::Reached;
use crate::settings::ReachFlags;

/// Show and settle what followers could not post
///
/// An event that a follower cannot post, however often it tries, is parked together with what follows in
/// its stream; everything else flows on. Mend what is wrong and have it tried again, or leave one event
/// out for good, which is recorded.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Parked {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List them, the oldest first
    List {
        /// Print JSON lines instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: ReachFlags,
    },
    /// Print one of them: why it is parked, and the event as the log holds it
    Show {
        follower: String,
        /// As the list shows it: `orders/5@1:1234`
        position: Position,
        #[command(flatten)]
        flags: ReachFlags,
    },
    /// Have them tried again, and wait until they were
    ///
    /// The exit code is 0 only if all of them were posted.
    Retry {
        /// Only this follower's
        #[arg(required_unless_present = "all")]
        follower: Option<String>,
        /// Only this one
        position: Option<Position>,
        /// Every follower's
        #[arg(long, conflicts_with = "follower")]
        all: bool,
        #[command(flatten)]
        flags: ReachFlags,
    },
    /// Leave one out for good, and post what is parked behind it
    ///
    /// The log keeps the event. Who decided it and why is recorded, and a rebuild leaves it out too.
    Discard {
        follower: String,
        /// As the list shows it: `orders/5@1:1234`
        position: Position,
        /// Why
        #[arg(long)]
        reason: String,
        /// Who decides it
        #[arg(long, env = "USER", default_value = "unknown")]
        by: String,
        #[command(flatten)]
        flags: ReachFlags,
    },
}

const EXAMPLES: &str = "\
Examples:
  daybook parked list
  daybook parked show orders orders/5@1:1234
  daybook parked retry orders
  daybook parked discard orders orders/5@1:1234 --reason 'placed twice by a test script'";

const SHOWN: i64 = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longer than a running process needs to notice.
const PATIENCE: Duration = Duration::from_secs(15);

impl Parked {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let flags = match &self.act {
            Act::List { flags, .. }
            | Act::Show { flags, .. }
            | Act::Retry { flags, .. }
            | Act::Discard { flags, .. } => flags,
        };
        let reached = Reached::find(flags).await?;
        let done = self.act.run(&reached).await;
        reached.leave().await;
        done
    }
}

impl Act {
    async fn run(self, reached: &Reached) -> Result<ExitCode> {
        let reads = reached.reads()?;
        match self {
            Act::List { json, .. } => list(&all(&reads).await?, json)?,
            Act::Show { follower, position, .. } => {
                show(reached, &find(&reads, &follower, &position).await?).await?;
            }
            Act::Retry { follower, position, .. } => {
                let which = match (follower, position) {
                    (Some(follower), Some(position)) => Which::One { follower, position },
                    (Some(follower), None) => Which::Of(follower),
                    (None, _) => Which::All,
                };
                let mut asked = 0;
                for read in &reads {
                    asked += retry(read, &which).await?;
                }
                if asked == 0 {
                    bail!("nothing of that is parked; see `daybook parked list`");
                }
                return settled(reached, &reads, &which).await;
            }
            Act::Discard { follower, position, reason, by, .. } => {
                if reason.trim().is_empty() {
                    bail!("say why, with --reason");
                }
                find(&reads, &follower, &position).await?;
                for read in &reads {
                    discard(read, &follower, &position, &by, &reason).await?;
                }
                return settled(reached, &reads, &Which::One { follower, position }).await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn all(reads: &[ReadSide]) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for read in reads {
        events.extend(parked(read, SHOWN).await?);
    }
    events.sort_by_key(|event| event.parked_at);
    Ok(events)
}

async fn find(reads: &[ReadSide], follower: &str, position: &Position) -> Result<Event> {
    let one = Which::One { follower: follower.to_owned(), position: position.clone() };
    let found = all(reads).await?.into_iter().find(|event| concerns(&one, event));
    found.with_context(|| {
        format!("`{follower}` has nothing parked at {position}; see `daybook parked list`")
    })
}

fn list(events: &[Event], json: bool) -> Result<()> {
    if json {
        for event in events {
            println!("{}", serde_json::to_string(event)?);
        }
        return Ok(());
    }
    if events.is_empty() {
        println!("nothing is parked");
        return Ok(());
    }
    println!(
        "{:20} {:24} {:28} {:>6} {:>5}  why",
        "follower", "position", "type", "behind", "tries"
    );
    for event in events {
        println!(
            "{:20} {:24} {:28} {:>6} {:>5}  {}",
            event.follower,
            event.position.to_string(),
            event.event_type,
            event.behind,
            event.tries,
            event.reason
        );
    }
    Ok(())
}

async fn show(reached: &Reached, event: &Event) -> Result<()> {
    let at = &event.position;
    let logs = reached.logs(std::slice::from_ref(&at.service)).await?;
    let log = logs.first().context("its log is not open")?;
    let held = log.read_partition(at.partition, at.offset, 1).await?.pop();
    let held = held.filter(|held| held.event_id == event.event_id);
    println!("{}", serde_json::to_string_pretty(event)?);
    match held {
        Some(held) => println!("{}", serde_json::to_string_pretty(&LoggedEvent::of(held)?)?),
        None => println!("the log does not hold it any more"),
    }
    Ok(())
}

fn concerns(which: &Which, event: &Event) -> bool {
    match which {
        Which::All => true,
        Which::Of(name) => event.follower == *name,
        Which::One { follower, position } => {
            event.follower == *follower
                && (&event.position.service, event.position.partition, event.position.offset)
                    == (&position.service, position.partition, position.offset)
        }
    }
}

/// Waits until whoever works the partitions has done what was asked for, and tells how it went.
async fn settled(reached: &Reached, reads: &[ReadSide], which: &Which) -> Result<ExitCode> {
    if reached.url.is_none() {
        println!("asked for; it is done when Daybook runs");
        return Ok(ExitCode::SUCCESS);
    }
    let waiting = async {
        loop {
            let mut left = all(reads).await?;
            left.retain(|event| concerns(which, event));
            if left.iter().all(|event| event.asked.is_none()) {
                return Ok::<_, anyhow::Error>(left);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let Ok(left) = tokio::time::timeout(PATIENCE, waiting).await else {
        bail!(
            "nobody has done it in {} s: does a Daybook run? It is done as soon as one does",
            PATIENCE.as_secs()
        );
    };
    let left = left?;
    if left.is_empty() {
        println!("done; nothing of that is parked any more");
        return Ok(ExitCode::SUCCESS);
    }
    println!("done; still parked:");
    list(&left, false)?;
    Ok(ExitCode::FAILURE)
}
