//! `make bench`: the figures of Daybook beside those of its peers, from one run on one machine.
#![expect(
    clippy::disallowed_methods,
    reason = "a load generator is its own clock and mints its own ids"
)]

mod absent;
mod apart;
mod append;
mod bench;
mod beside;
mod caller;
mod cold;
mod cpu;
mod docs;
mod door;
mod fill;
mod follow;
mod growth;
mod guarded;
mod hot;
mod idle;
mod limits;
mod load;
mod machine;
mod overload;
mod own;
mod peak;
mod peers;
mod plot;
mod process;
mod read;
mod rebuild;
mod relay;
mod report;
mod servers;
mod settled;
mod shape;
mod shop;
mod waits;

use anyhow::{Result, bail};
use bench::{Bench, Name, Pace};
use clap::{Parser, ValueEnum};
use report::{Report, Section};
use servers::Servers;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

/// Measures Daybook beside its peers, on a Postgres and a Kafka started for this run alone.
///
/// Contestants take turns, every figure is the median of several rounds with the least and the most beside it,
/// and what was written is counted in the database afterwards. A run writes bench/results/<date>.json, and its
/// tables and plots between the markers of docs/benchmarks.md; what stands outside the markers is kept.
#[derive(Parser)]
#[command(name = "bench", after_help = EXAMPLES)]
struct Args {
    /// The benches to run; all of them if none is named.
    #[arg(value_enum)]
    benches: Vec<Name>,
    /// Short rounds, to see that everything works. Its figures are none: docs/benchmarks.md is left as it is.
    #[arg(long)]
    quick: bool,
    /// Rounds of each contestant.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Write docs/benchmarks.md after a quick run too.
    #[arg(long)]
    docs: bool,
    /// Leave docs/benchmarks.md as it is.
    #[arg(long, conflicts_with = "docs")]
    no_docs: bool,
    /// The folder for the figures as JSON.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// Name the benches and what they measure, and end.
    #[arg(long)]
    list: bool,
    /// The second process of `hot`.
    #[arg(long, hide = true)]
    hot_child: bool,
}

const EXAMPLES: &str = "\
From the root of the tree:
  make bench                        everything (somewhat more than an hour)
  make bench QUICK=1                everything with short rounds (some minutes)
  make bench ARGS=append            one of them
  make bench ARGS='append --quick'  one of them, short
  make bench ARGS=--list            what there is";

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.list {
        list();
        return Ok(());
    }
    if args.hot_child {
        return hot::child().await;
    }
    // A second call is the only one that fails.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir()?;
    let servers = Servers::start(folder.path()).await?;
    let mut report = Report::begin(&servers, args.quick).await?;
    println!("{}", report.machine);
    let pace = Pace { rounds: usize::from(args.rounds), quick: args.quick };
    let broken_off = tokio::select! {
        () = measure_all(&args.benches, &servers, pace, &mut report) => false,
        () = asked_to_end() => true,
    };
    servers.stop().await;
    if broken_off {
        bail!("broken off; nothing was written");
    }
    println!("\nall of it: {:.0} s", report.sections.iter().map(|it| it.took_s).sum::<f64>());
    report.write(&root.join(&args.results))?;
    if args.docs || !(args.quick || args.no_docs) {
        docs::write(&root.join("docs"), &report)?;
    }
    let failed: Vec<_> = report.sections.iter().filter(|s| s.failed.is_some()).collect();
    if let [first, ..] = failed[..] {
        bail!("{} of the benches failed, the first was `{}`", failed.len(), first.bench);
    }
    Ok(())
}

fn list() {
    for name in Name::value_variants() {
        println!("{:17}{}", name.to_string(), name.about());
    }
}

async fn measure_all(asked: &[Name], servers: &Servers, pace: Pace, report: &mut Report) {
    for name in Name::value_variants() {
        if asked.is_empty() || asked.contains(name) {
            report.sections.push(measure(*name, servers, pace).await);
        }
    }
}

/// Then the servers are ended and their data deleted: they are gigabytes.
async fn asked_to_end() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return pending().await };
    let (interrupt, terminate) = (ctrl_c(), terminate.recv());
    tokio::select! { _ = interrupt => {}, _ = terminate => {} }
}

/// A bench that fails leaves the others their turn.
async fn measure(name: Name, servers: &Servers, pace: Pace) -> Section {
    println!("\n{name}: {}", name.about());
    let began = Instant::now();
    let mut bench = Bench { servers, pace, section: Section::of(name) };
    if let Err(error) = name.run(&mut bench).await {
        eprintln!("{name} failed: {error:?}");
        bench.section.failed = Some(format!("{error:#}"));
    }
    bench.section.took_s = began.elapsed().as_secs_f64();
    println!("  ({:.0} s)", bench.section.took_s);
    bench.section
}
