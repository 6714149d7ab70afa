//! `daybook rebuild`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use projections::{Phase, Progress, Projection};
use std::sync::Arc;

use super::reach::Reached;
use crate::settings::ReachFlags;

/// Post a read model again from the log, beside the live one, and change over
///
/// A new generation of its tables is filled from the log while the live one goes on answering. When it
/// has caught up it becomes the live one, and running processes take it within a second. The log is
/// only read. The exit code is 0 only if the new generation is live.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Rebuild {
    /// Which read models
    #[arg(value_name = "PROJECTION", value_parser = PossibleValuesParser::new(names()))]
    projections: Vec<String>,
    /// Every read model, one after the other
    #[arg(long, conflicts_with = "projections")]
    all: bool,
    #[command(flatten)]
    flags: ReachFlags,
}

const EXAMPLES: &str = "\
Examples:
  daybook rebuild orders
  daybook rebuild --all";

impl Rebuild {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let asked = self.asked()?;
        let reached = Reached::find(&self.flags).await?;
        let rebuilt = rebuild(&reached, &asked).await;
        reached.leave().await;
        rebuilt.map(|()| ExitCode::SUCCESS)
    }

    fn asked(&self) -> Result<Vec<Arc<dyn Projection>>> {
        if self.projections.is_empty() && !self.all {
            bail!("say which read models, or --all; there are {}", names().join(", "));
        }
        let wanted = |p: &Arc<dyn Projection>| {
            self.all || self.projections.iter().any(|name| name == p.layout().name)
        };
        Ok(projections::all().into_iter().filter(wanted).collect())
    }
}

fn names() -> Vec<&'static str> {
    projections::all().iter().map(|projection| projection.layout().name).collect()
}

async fn rebuild(reached: &Reached, asked: &[Arc<dyn Projection>]) -> Result<()> {
    let (logs, reads) = (reached.logs(&[]).await?, reached.reads()?);
    for projection in asked {
        let layout = projection.layout();
        let read = reads.iter().find(|read| *read.service == *layout.service);
        let read = read.with_context(|| format!("there is no service {}", layout.service))?;
        let bar = ProgressBar::new(0).with_style(style());
        bar.set_prefix(layout.name);
        let shown = bar.clone();
        let progress = Arc::new(move |at: Progress| show(&shown, &at));
        let rebuilt = projections::rebuild(projection, read, &logs, progress).await;
        bar.finish_and_clear();
        let rebuilt = rebuilt.with_context(|| {
            format!("`{}` was not rebuilt, and the old generation answers on", layout.name)
        })?;
        let seconds = rebuilt.took.as_secs_f64();
        println!(
            "{}: generation {} is live; {} events in {seconds:.2} s ({:.0}/s)",
            layout.name,
            rebuilt.generation,
            rebuilt.events,
            rebuilt.events as f64 / seconds.max(0.001),
        );
        if rebuilt.left_out > 0 {
            println!("{}: {} of them were discarded and left out", layout.name, rebuilt.left_out);
        }
    }
    Ok(())
}

fn style() -> ProgressStyle {
    let template =
        "{prefix:14} {msg:12} [{bar:40}] {human_pos}/{human_len} events, {per_sec}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn show(bar: &ProgressBar, at: &Progress) {
    bar.set_length(at.total.max(at.done));
    bar.set_position(at.done);
    bar.set_message(match at.phase {
        Phase::Filling => "filling",
        Phase::Indexing => "indexing",
        Phase::CatchingUp => "catching up",
        Phase::Live => "live",
    });
}
