//! `daybook verify`

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use event_store::Checked;
use event_store::kafka::Brokers;
use projections::{Compared, Projection, readable};
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::reach::Reached;
use super::rebuild::{
    Asked, REFUSED, Shelf, Telling, Which, differences, if_rows_differ, refused, worst,
};
use super::stopping::{at_work, before_it_began};
use crate::embedded::Runtime;
use crate::settings::ReachFlags;
use crate::shop::topic_of;

/// Compare the rows of a read model with what the log says, or check the log itself
///
/// For a read model the log is posted again into tables of its own, beside the live ones and up to the same place; the
/// rows are compared, and the tables are dropped, also if Ctrl-C or SIGTERM stops it. Rows that differ are named with the
/// columns, both values, and the stream to look at.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Verify {
    #[command(flatten)]
    which: Which,
    /// Check every log: offsets, versions, ids, epochs, and that this binary can read each event
    #[arg(long, conflicts_with_all = ["projections", "all"])]
    log: bool,
    /// Compare Kafka's copy of every log with the log, record by record
    #[arg(long, conflicts_with_all = ["projections", "all"])]
    kafka: bool,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ReachFlags,
}

const EXAMPLES: &str = "\
Examples:
  daybook verify orders
  daybook verify --all --json
  daybook verify --log --kafka

Exit codes:
  0  the rows are what the log says; the log, or its copy, is in order
  4  rows differ, or could not be compared: another process rebuilds the read model, nothing is
     live, or parked events kept some from it; the log, or its copy, is not in order
  1  failed
  130  stopped by Ctrl-C or SIGTERM; nothing is left behind, or the last line says what
Of several read models the worst counts: 130, then 1, then 4.";

impl Verify {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let of_logs = self.log || self.kafka;
        // Before a Postgres is started for it.
        let asked = if of_logs { Vec::new() } else { self.which.asked()? };
        at_work(&self.flags, async |reached, stop| {
            reached.stand_back();
            if !of_logs {
                let here = self.which.here(asked, reached, self.json)?;
                return self.read_models(reached, stop, &here).await;
            }
            let checked = stop.run_until_cancelled(self.logs(reached)).await;
            // They are only read.
            checked.unwrap_or_else(|| Ok(before_it_began()))
        })
        .await
    }

    async fn read_models(
        &self,
        reached: &Reached,
        stop: &CancellationToken,
        here: &[Arc<dyn Projection>],
    ) -> Result<ExitCode> {
        let Some(shelf) = stop.run_until_cancelled(Shelf::of(reached, stop)).await else {
            return Ok(before_it_began());
        };
        let (shelf, mut codes) = (shelf?, Vec::new());
        for projection in here {
            let name = projection.layout().name;
            let telling = Telling::new(name, self.json);
            let compared = projections::verify(&shelf.work(projection, telling.tell())?).await;
            telling.finish();
            codes.push(match compared {
                Ok(compared) => self.tell(name, &compared),
                Err(error) => refused(name, Asked::Verify, &error, self.json),
            });
            if stop.is_cancelled() {
                break;
            }
        }
        Ok(worst(codes))
    }

    fn tell(&self, name: &str, compared: &Compared) -> u8 {
        let differing = compared.differing();
        let same = compared.is_same() && compared.is_whole();
        if self.json {
            println!("{}", json!({"projection": name, "same": same, "compared": compared}));
        } else {
            let (rows, named) = (compared.rows(), differences(compared));
            if same {
                println!("{name}: its {rows} rows are what the log says");
            } else if differing == 0 && compared.is_same() {
                println!(
                    "{name}: of its rows {rows} are what the log says, and not all were compared{named}"
                );
            } else {
                println!("{name}: {differing} of {rows} rows are not what the log says{named}");
            }
            for stream in &compared.parked {
                println!("{name}: {stream}");
            }
            if !compared.is_same() {
                eprintln!("{}", if_rows_differ(name));
            } else if !compared.parked.is_empty() {
                eprintln!("To see what keeps them: daybook parked list");
            }
        }
        if same { 0 } else { REFUSED }
    }

    async fn logs(&self, reached: &Reached) -> Result<ExitCode> {
        let brokers = self.kafka.then(|| brokers(reached)).transpose()?;
        let mut worst = 0;
        for log in reached.logs(&[]).await? {
            let service = log.service().to_string();
            if self.log {
                let telling = Telling::new("log", self.json);
                let tell = telling.counting(&service, "events");
                let checked = log.check(&readable, &tell).await?;
                telling.finish();
                worst = worst.max(self.tell_log(&service, "log", "events", &checked));
            }
            if let (Some(brokers), Some(topic)) = (&brokers, topic_of(&service)) {
                let topic = format!("{}{topic}", reached.settings.topic_prefix);
                let telling = Telling::new("copy", self.json);
                let tell = telling.counting(&service, "records");
                let checked = log.compare_copy(brokers, &topic, &tell).await;
                telling.finish();
                let checked = checked.with_context(|| format!("{topic} cannot be read"))?;
                worst = worst.max(self.tell_log(&service, "copy", "records", &checked));
            }
        }
        Ok(worst.into())
    }

    fn tell_log(&self, service: &str, what: &str, of: &str, checked: &Checked) -> u8 {
        let Checked { read, repeats, superseded, faults, faulty } = checked;
        if self.json {
            println!("{}", json!({"service": service, "of": what, "checked": checked}));
        } else {
            let order = if *faulty == 0 { "in order" } else { "NOT in order" };
            let mut more = String::new();
            if *repeats > 0 {
                more += &format!(", {repeats} of them repeats");
            }
            if *superseded > 0 {
                more += &format!(", {superseded} of them of what the log lost since");
            }
            println!("{service}: the {what} is {order}, {read} {of}{more}");
            for fault in faults {
                println!("    {}: {}", fault.at, fault.what);
            }
            let unnamed = faulty - faults.len() as u64;
            if unnamed > 0 {
                println!("    and {unnamed} more");
            }
        }
        if *faulty == 0 { 0 } else { REFUSED }
    }
}

/// Those of the settings, else of the Daybook that runs.
fn brokers(reached: &Reached) -> Result<Brokers> {
    if let Some(yours) = reached.settings.brokers()? {
        return Ok(yours);
    }
    let running = Runtime::find(&reached.settings.data_dir).and_then(|it| it.kafka_brokers);
    running.map(Brokers::from).context(
        "there is no Kafka to compare with: start Daybook, or say where yours is with KAFKA_BROKERS",
    )
}
