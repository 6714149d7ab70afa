//! `daybook explain`

use std::process::ExitCode;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::ids::OrderId;
use projections::{Absent, Happened, Part, StillDue, Teller, Timeline, timeline};

use super::reach::Reached;
use crate::settings::ReachFlags;

/// Say what happened to an order, across all its streams, and what it waits for
///
/// Order, payment, checkout and the stock of its lines, in the order in which it was recorded, each with what led to
/// it; then what is still owed, since when, how often it was tried, and what went wrong the last time.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Explain {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// An order
    Order {
        /// Its id: `5f0c1b7e-8f58-7d3e-9f3e-0d5c0f1c8a11`
        id: OrderId,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: ReachFlags,
    },
}

const EXAMPLES: &str = "\
Examples:
  daybook explain order 5f0c1b7e-8f58-7d3e-9f3e-0d5c0f1c8a11
  daybook explain order 5f0c1b7e-8f58-7d3e-9f3e-0d5c0f1c8a11 --json | jq .due";

impl Explain {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let What::Order { id, json, flags } = self.what;
        let reached = Reached::find(&flags).await?;
        let told = tell(&reached, id, json).await;
        reached.leave().await;
        told.map(|()| ExitCode::SUCCESS)
    }
}

async fn tell(reached: &Reached, id: OrderId, json: bool) -> Result<()> {
    let (logs, peers, reads) = (reached.logs(&[]).await?, reached.peers()?, reached.reads()?);
    let here = logs.iter().map(|log| (&**log.service(), Teller::Here(log)));
    let elsewhere =
        peers.iter().map(|(service, owner)| (*service, Teller::Elsewhere { service, owner }));
    let tellers = here.chain(elsewhere).collect();
    let reads = reads.iter().map(|read| (&*read.service, read)).collect();
    let Some(timeline) = timeline(&tellers, &reads, id).await? else {
        bail!("there is no order {id}");
    };
    if json {
        println!("{}", serde_json::to_string(&timeline)?);
    } else {
        print(&timeline);
    }
    Ok(())
}

fn print(timeline: &Timeline) {
    let Timeline { order, number, events, due, absent } = timeline;
    println!("order {order}, number {number}");
    let began = events.first().map(|event| event.recorded_at).unwrap_or_default();
    println!("recorded from {} on:", began.format("%Y-%m-%d %H:%M:%S%.3f UTC"));
    for event in events {
        println!("{}", line(event, began));
    }
    for Absent { service, what } in absent {
        match what {
            Part::Events => println!("not told, for its log is out of reach: what {service} did"),
            Part::Due => println!("not told, for its database is elsewhere: what {service} owes"),
        }
    }
    if due.is_empty() {
        println!("nothing is due");
        return;
    }
    println!("still due:");
    let now = edge::clock::now();
    for due in due {
        println!("{}", owed(due, now));
    }
}

fn line(event: &Happened, began: DateTime<Utc>) -> String {
    let Happened { stream, version, event_type, because_of, payload, .. } = event;
    let after = (event.recorded_at - began).as_seconds_f64();
    // The order's own id stands above.
    let of = stream.split_once('-').map_or(&**stream, |(category, rest)| {
        if category == "stock" {
            stream
        } else {
            let _ = rest;
            category
        }
    });
    let because = because_of.as_ref().map_or(String::new(), |cause| {
        format!("  because of {} {}", cause.event_type, cause.version)
    });
    let facts = if payload.get() == "{}" { String::new() } else { format!("  {payload}") };
    format!("  {after:+9.3} s  {of:12} {version:>6}  {event_type:30}{because}{facts}")
}

fn owed(due: &StillDue, now: DateTime<Utc>) -> String {
    let StillDue { stream, key, due_at, tries, last_error } = due;
    let late = (now - due_at).as_seconds_f64();
    let when = if late < 0.0 {
        format!("in {:.0} s", -late)
    } else {
        format!("for {late:.0} s, tried {tries} times")
    };
    let error = last_error.as_ref().map_or(String::new(), |error| format!(": {error}"));
    format!("  {stream}  {key}  {when}{error}")
}
