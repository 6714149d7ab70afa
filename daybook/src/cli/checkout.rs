//! `daybook checkout`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use domain::checkout::checkout::{self, Command};
use domain::ids::OrderId;
use domain::values::{Invalid, Operator, Remark};
use event_store::{Done, Envelope, Metadata, TransactError, Transactor};
use projections::{NeedsAttention, needing_attention};

use super::reach::Reached;
use crate::settings::ReachFlags;

/// Show and settle the checkouts that need a person
///
/// A checkout carries an order across stock and payment by its rules. What no rule can settle needs
/// attention: a capture, a void or a refund that the provider refused for good, a request that its owner
/// refused, or work that is not finished a day after the order was shipped or cancelled. What is left goes
/// on meanwhile. Each of the three acts below ends the attention and is an event in the log, with why and
/// who; when something fails again, attention is needed again.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Checkout {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List those that need attention and why, who waits longest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Print JSON lines instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: ReachFlags,
    },
    /// Have asked for again what failed, once its cause is mended
    ///
    /// What failed or was refused for good is asked for again, as a new request; the payment provider is
    /// asked under a new idempotency key. What is still under way is left alone. If the day to finish was
    /// over, another one begins. A hold on a card that has lapsed at the provider fails again: settle that.
    Retry {
        #[command(flatten)]
        by_hand: ByHand,
    },
    /// Give the order up
    ///
    /// The order is cancelled as `merchant-request`, confirmed or not, and when it is, its stock is
    /// released and its payment voided. An order that is shipped or cancelled already is refused; one that
    /// is shipped at the same moment is sent and paid for as if nothing had been said. An order whose
    /// checkout needs no attention is cancelled by `POST /v1/orders/{id}/cancel`.
    Cancel {
        #[command(flatten)]
        by_hand: ByHand,
    },
    /// Say that it was settled elsewhere, or is written off
    ///
    /// What failed, was refused or is late is owed no more. No money and no stock moves, and none is said
    /// to have moved: the payment still says what the provider answered, and what is reserved stays so.
    /// What is still under way in its time goes on, an order that is shipped is closed, and the checkout
    /// is completed. An order that is neither shipped nor cancelled is refused: cancel it first.
    Settle {
        #[command(flatten)]
        by_hand: ByHand,
    },
}

#[derive(Debug, Args)]
struct ByHand {
    /// The order's id, as the list shows it
    order: OrderId,
    /// Why. It stays in the log for ever: no place for a customer's name
    #[arg(long)]
    reason: Remark,
    /// Who decides it
    #[arg(long, env = "USER", default_value = "unknown", value_parser = operator)]
    by: Operator,
    #[command(flatten)]
    flags: ReachFlags,
}

/// In a container `USER` may be set to nothing.
fn operator(name: &str) -> Result<Operator, Invalid> {
    if name.is_empty() { "unknown".parse() } else { name.parse() }
}

const EXAMPLES: &str = "\
Examples:
  daybook checkout list
  daybook checkout retry 5f0c1b7e-8f58-7d3e-9f3e-0d5c0f1c8a11 --reason 'we are unblocked'
  daybook checkout settle 5f0c1b7e-8f58-7d3e-9f3e-0d5c0f1c8a11 --reason 'captured in the dashboard'
  daybook checkout cancel 5f0c1b7e-8f58-7d3e-9f3e-0d5c0f1c8a11 --reason 'agreed by telephone'";

impl Checkout {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let flags = match &self.act {
            Act::List { flags, .. }
            | Act::Retry { by_hand: ByHand { flags, .. } }
            | Act::Cancel { by_hand: ByHand { flags, .. } }
            | Act::Settle { by_hand: ByHand { flags, .. } } => flags,
        };
        let reached = Reached::find(flags).await?;
        let done = self.act.run(&reached).await;
        reached.leave().await;
        done.map(|()| ExitCode::SUCCESS)
    }
}

impl Act {
    async fn run(self, reached: &Reached) -> Result<()> {
        let (ByHand { order, reason, by, .. }, command): (_, fn(_, _) -> Command) = match self {
            Act::List { limit, json, .. } => return list(reached, limit, json).await,
            Act::Retry { by_hand } => (by_hand, |reason, by| Command::Retry { reason, by }),
            Act::Cancel { by_hand } => (by_hand, |reason, by| Command::Cancel { reason, by }),
            Act::Settle { by_hand } => (by_hand, |reason, by| Command::Settle { reason, by }),
        };
        let done = tell(reached, order, command(reason, Some(by))).await?;
        println!("{} is at version {}: {}", done.stream, done.version, done.events.join(", "));
        if reached.url.is_none() {
            println!("what follows from it is done when Daybook runs");
        }
        Ok(())
    }
}

/// Through the same write path as the endpoints, and as well while no server runs.
async fn tell(reached: &Reached, order: OrderId, command: Command) -> Result<Done> {
    let log = reached.logs(&["checkout".to_owned()]).await?.pop().context("its log is not open")?;
    let transactor =
        Transactor::<checkout::Checkout>::new(log.clone(), reached.settings.limits.transact());
    let metadata = Metadata {
        correlation: edge::ids::mint().to_string(),
        causation: None,
        actor: "local".to_owned(),
        traceparent: None,
    };
    let envelope = Envelope {
        command_id: edge::ids::mint(),
        fingerprint: None,
        occurred_at: edge::clock::now(),
        metadata,
        expected_version: None,
    };
    let done = transactor.transact(&checkout::stream(order), command, envelope).await;
    log.close().await;
    match done {
        Ok(done) => Ok(done),
        Err(TransactError::Rejected { rejection, .. }) => bail!("{rejection}"),
        Err(TransactError::OutcomeUnknown) => {
            bail!(
                "it may have been done: look with `daybook log --stream {}`",
                checkout::stream(order)
            )
        }
        Err(error) => Err(error).context("nothing was done"),
    }
}

async fn list(reached: &Reached, limit: u32, json: bool) -> Result<()> {
    let reads = reached.reads()?;
    let read = reads.iter().find(|read| &*read.service == "checkout");
    let read = read.context("there is no service `checkout`")?;
    let Some((needing, all)) = needing_attention(read, i64::from(limit)).await? else {
        bail!(
            "the list is not there yet: start this version of Daybook once, with `daybook serve`"
        );
    };
    if json {
        for checkout in &needing {
            println!("{}", serde_json::to_string(checkout)?);
        }
        return Ok(());
    }
    if needing.is_empty() {
        println!("no checkout needs attention");
        return Ok(());
    }
    println!("{:36}  {:16} {:24} {:>14}  trouble", "order", "attention", "since", "total");
    for checkout in &needing {
        print(checkout);
    }
    let more = all - i64::try_from(needing.len())?;
    if more > 0 {
        println!("and {more} more: --limit");
    }
    Ok(())
}

fn print(checkout: &NeedsAttention) {
    let since = checkout.since.format("%F %T%.3fZ").to_string();
    let total = format!("{} {}", checkout.total.amount, checkout.total.currency);
    let trouble = checkout.trouble.as_deref().unwrap_or_default();
    println!("{}  {:16} {since:24} {total:>14}  {trouble}", checkout.order, checkout.attention);
}
