//! `daybook log`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use decider::Event as _;
use domain::catalogue::product;
use domain::checkout::checkout;
use domain::inventory::stock;
use domain::orders::order;
use domain::payments::payment;
use event_store::{Log as ServiceLog, Position, Recorded};
use projections::LoggedEvent;
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use super::reach::Reached;
use crate::settings::{self, ReachFlags};

/// Print a log as JSON lines: what happened, in the order in which it was recorded
///
/// Inside a partition the order is the log's own. Between partitions and services there is none, and
/// lines are told apart by their position: `orders/5@1:1234` is service, partition, epoch, offset.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Log {
    #[command(subcommand)]
    act: Option<Act>,
    /// Whose log: catalogue, orders, inventory, payments, checkout [default: all of them]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Only this stream, by its versions: `order-5f0c1b7e-…`, `stock-85123A`
    #[arg(long)]
    stream: Option<String>,
    /// Only events of this type; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only what comes after this position, in its partition; may be given more than once
    #[arg(long, value_name = "POSITION")]
    after: Vec<Position>,
    /// Stop after this many lines
    #[arg(long, value_name = "LINES")]
    limit: Option<u64>,
    /// Go on and print what is recorded from now on
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    flags: ReachFlags,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Open the next epoch of a log by hand, after its disk was restored from a copy
    ///
    /// A failover or a restore from a backup is noticed by itself. A disk that was put back as it was some
    /// time ago is not: offsets would be given out a second time, and who follows could not tell.
    NewEpoch {
        /// Whose log
        service: String,
        #[command(flatten)]
        flags: ReachFlags,
    },
}

const EXAMPLES: &str = "\
Examples:
  daybook log orders
  daybook log --stream stock-85123A
  daybook log --type order.cancelled --type checkout.needs_attention --follow
  daybook log payments --after payments/3@1:500 --limit 10 | jq .payload";

const PAGE: i64 = 500;
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Log {
    pub(super) async fn run(self) -> Result<ExitCode> {
        for warning in self.unknown_types() {
            eprintln!("daybook: {warning}");
        }
        if let Some(Act::NewEpoch { service, flags }) = &self.act {
            let reached = Reached::find(flags).await?;
            let opened = event_store::open_epoch(reached.database(service)?, service).await;
            reached.leave().await;
            opened?;
            println!("{service}: what is appended from here on is in a new epoch");
            return Ok(ExitCode::SUCCESS);
        }
        let reached = Reached::find(&self.flags).await?;
        let printed = self.print(&reached).await;
        reached.leave().await;
        match printed {
            // `daybook log | head` has seen enough.
            Err(error) if closed(&error) => Ok(ExitCode::SUCCESS),
            printed => printed.map(|()| ExitCode::SUCCESS),
        }
    }

    async fn print(&self, reached: &Reached) -> Result<()> {
        let logs = reached.logs(&self.asked()?).await?;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut at = self.starts();
        let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            let mut read = 0;
            for log in &logs {
                read += match &self.stream {
                    Some(stream) => self.stream(log, stream, &mut at, &mut left).await?,
                    None => self.partitions(log, &mut at, &mut left).await?,
                };
            }
            if left == 0 || (read == 0 && !self.follow) {
                return Ok(());
            }
            if read == 0 {
                tokio::select! {
                    _ = &mut stop => return Ok(()),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    /// Of the types that are asked for, those that this binary cannot know. They are looked for all the
    /// same: a newer one may have written them.
    fn unknown_types(&self) -> Vec<String> {
        let known: Vec<_> = known_types().collect();
        let unknown = self.types.iter().filter(|asked| !known.contains(&asked.as_str()));
        let warning = |asked: &String| {
            let nearest = settings::most_alike(asked, known.iter().copied());
            format!("this binary knows no event type `{asked}`; the nearest is `{nearest}`")
        };
        unknown.map(warning).collect()
    }

    /// The services to read: those that were named, or the one whose stream or whose position is asked for.
    fn asked(&self) -> Result<Vec<String>> {
        if self.stream.is_some() && !self.after.is_empty() {
            bail!("a stream is read by its versions: leave out --stream or --after");
        }
        let Some(stream) = &self.stream else { return Ok(self.services.clone()) };
        let category = stream.split('-').next().unwrap_or_default();
        let service = match category {
            "product" => "catalogue",
            "order" => "orders",
            "stock" => "inventory",
            "payment" => "payments",
            "checkout" => "checkout",
            _ => bail!(
                "`{stream}` is no stream: one begins with product-, order-, stock-, payment- or checkout-"
            ),
        };
        Ok(vec![service.to_owned()])
    }

    /// Where each partition is read from; 0 where nothing was said.
    fn starts(&self) -> HashMap<String, i64> {
        let place = |p: &Position| (format!("{}/{}", p.service, p.partition), p.offset + 1);
        self.after.iter().map(place).collect()
    }

    async fn partitions(
        &self,
        log: &ServiceLog,
        at: &mut HashMap<String, i64>,
        left: &mut u64,
    ) -> Result<usize> {
        let mut read = 0;
        for partition in 0..log.partitions() {
            let next = at.entry(format!("{}/{partition}", log.service())).or_default();
            let page = log.read_partition(partition, *next, PAGE).await?;
            read += page.len();
            *next = page.last().map_or(*next, |event| event.offset + 1);
            self.lines(page, left)?;
        }
        Ok(read)
    }

    async fn stream(
        &self,
        log: &ServiceLog,
        stream: &str,
        at: &mut HashMap<String, i64>,
        left: &mut u64,
    ) -> Result<usize> {
        let version = at.entry(stream.to_owned()).or_default();
        let page = log.read_stream(stream, *version, PAGE).await?;
        let read = page.len();
        *version = page.last().map_or(*version, |event| event.version);
        self.lines(page, left)?;
        Ok(read)
    }

    fn lines(&self, page: Vec<Recorded>, left: &mut u64) -> Result<()> {
        let mut out = io::stdout().lock();
        let asked =
            |event: &Recorded| self.types.is_empty() || self.types.contains(&event.event_type);
        for event in page.into_iter().filter(asked) {
            if *left == 0 {
                break;
            }
            *left -= 1;
            serde_json::to_writer(&mut out, &LoggedEvent::of(event)?)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Every event type of the shop.
fn known_types() -> impl Iterator<Item = &'static str> {
    let all = [
        product::Event::TYPES,
        stock::Event::TYPES,
        order::Event::TYPES,
        payment::Event::TYPES,
        checkout::Event::TYPES,
    ];
    all.into_iter().flatten().map(|(event_type, _)| *event_type)
}

/// Whether the reader of our output went away.
fn closed(error: &anyhow::Error) -> bool {
    let broken = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    let json = |e: &serde_json::Error| e.io_error_kind() == Some(io::ErrorKind::BrokenPipe);
    error.downcast_ref().is_some_and(broken) || error.downcast_ref().is_some_and(json)
}
