//! `daybook dues`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use event_store::dues::{Late, late, retry};
use serde_json::json;

use super::reach::Reached;
use crate::settings::ReachFlags;

/// Show what is due, and have it tried at once
///
/// What an order still owes the world (stock to reserve, a payment to take, a deadline to keep) is a due. It is
/// asked for again and again, with growing pauses, until it is settled.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Dues {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List what has come due and is not settled, the oldest first
    List {
        /// Only what has been due for so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
        late: f64,
        /// At most so many of each service
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Print JSON lines instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: ReachFlags,
    },
    /// Try again now what waits after a failure, instead of when its pause is over
    Retry {
        /// Of this stream: `payment-5f0c1b7e-…`
        #[arg(required_unless_present = "all")]
        stream: Option<String>,
        /// Only this one of its dues: `authorise:1`
        key: Option<String>,
        /// Of every stream
        #[arg(long, conflicts_with = "stream")]
        all: bool,
        #[command(flatten)]
        flags: ReachFlags,
    },
}

const EXAMPLES: &str = "\
Examples:
  daybook dues list --late 10
  daybook dues retry payment-5f0c1b7e-8f58-7d3e-9f3e-0d5c0f1c8a11
  daybook dues retry --all                       after the payment provider is back";

impl Dues {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let (Act::List { flags, .. } | Act::Retry { flags, .. }) = &self.act;
        let reached = Reached::find(flags).await?;
        let done = self.act.run(&reached).await;
        reached.leave().await;
        done.map(|()| ExitCode::SUCCESS)
    }
}

impl Act {
    async fn run(self, reached: &Reached) -> Result<()> {
        let reads = reached.reads()?;
        match self {
            Act::List { late: grace_s, limit, json, .. } => {
                let mut dues = Vec::new();
                for read in &reads {
                    dues.extend(late(read, grace_s, i64::from(limit)).await?);
                }
                dues.sort_by_key(|due| due.due_at);
                print(&dues, json);
            }
            Act::Retry { stream, key, .. } => {
                let mut asked = 0;
                for read in &reads {
                    asked += retry(read, stream.as_deref(), key.as_deref()).await?;
                }
                if asked == 0 {
                    bail!("nothing of that waits after a failure; see `daybook dues list`");
                }
                println!("{asked} to be tried at once");
            }
        }
        Ok(())
    }
}

fn print(dues: &[Late], as_json: bool) {
    if as_json {
        for due in dues {
            let line = json!({
                "stream": due.stream,
                "key": due.key,
                "due_at": due.due_at,
                "tries": due.tries,
                "last_error": due.last_error,
            });
            println!("{line}");
        }
        return;
    }
    if dues.is_empty() {
        println!("nothing is due");
        return;
    }
    println!("{:48} {:28} {:>5}  {:24}  last error", "stream", "due", "tries", "since");
    for due in dues {
        let (since, why) = (due.due_at.format("%F %T%.3fZ"), due.last_error.as_deref());
        let why = why.unwrap_or_default();
        println!("{:48} {:28} {:>5}  {since:24}  {why}", due.stream, due.key, due.tries);
    }
}
