//! Single-event appends on fresh streams: Daybook's log beside its peers, and beside what Postgres itself can do.

mod latency;

use crate::bench::Bench;
use crate::limits::{Copy, Pgbench};
use crate::load::{Round, Rounds, closed_loop};
use crate::peers::{Contestant, Kind, versions};
use crate::report::{Chart, Figure, Unit, median};
use anyhow::Result;

/// With how many callers, and how many times the plain insert is the goal.
const LEVELS: [(usize, f64); 5] = [(1, 0.7), (16, 0.9), (64, 2.5), (256, 4.0), (1024, 5.0)];
const QUICK_LEVELS: [(usize, f64); 2] = [LEVELS[1], LEVELS[3]];
/// With so many callers the frameworks take part too.
const FRAMEWORKS: [usize; 2] = [64, 256];
/// What the goals for frameworks, limits and latency speak of.
const CROWD: usize = 256;
const PGBENCH_CLIENTS: [usize; 3] = [8, 16, 32];

const CHART: Chart = Chart::new(
    "append",
    "Single-event appends on fresh streams",
    "callers, each waits for its answer",
    "appends/s",
);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    bench.section.note(format!("The peers: {}.", versions()));
    let mut peak = 0.0;
    for (callers, goal) in bench.pace.pick(&LEVELS[..], &QUICK_LEVELS[..]) {
        let level = Level::run(bench, *callers).await?;
        level.report(bench, *goal);
        if *callers == CROWD {
            peak = median(&level.of(Kind::Daybook).rates());
        }
    }
    latency::run(bench, peak).await
}

/// One after another in every round: who comes first in one is burdened by nobody's rest.
struct Level {
    callers: usize,
    rounds: Vec<(Kind, Rounds)>,
    limits: Option<Limits>,
}

impl Level {
    async fn run(bench: &Bench<'_>, callers: usize) -> Result<Self> {
        let kinds = Kind::ALL.into_iter().filter(|kind| takes_part(*kind, callers));
        let rows = bench.pace.pick(100_000, 5_000);
        let mut contestants = Vec::new();
        for kind in kinds {
            let name = format!("append_{callers}");
            contestants.push(Contestant::open(bench.servers, &name, kind, rows).await?);
        }
        let mut limits = match callers {
            CROWD => Some(Limits::open(bench).await?),
            _ => None,
        };
        let mut rounds: Vec<_> = contestants.iter().map(|c| (c.kind, Rounds::default())).collect();
        for _ in 0..bench.pace.rounds {
            for (contestant, (_, rounds)) in contestants.iter_mut().zip(&mut rounds) {
                rounds.0.push(one(bench, contestant, callers).await?);
            }
            if let Some(limits) = &mut limits {
                limits.round(bench).await?;
            }
        }
        for contestant in contestants {
            contestant.close(bench.servers).await?;
        }
        if limits.is_some() {
            bench.servers.drop_database("append_copy").await?;
            bench.servers.drop_database("append_pgbench").await?;
        }
        Ok(Level { callers, rounds, limits })
    }

    fn of(&self, kind: Kind) -> &Rounds {
        let found = self.rounds.iter().find(|(of, _)| *of == kind);
        &found.expect("it took part at this level").1
    }

    fn report(&self, bench: &mut Bench<'_>, goal: f64) {
        let callers = who(self.callers);
        let ours = self.of(Kind::Daybook).rates();
        for (kind, rounds) in &self.rounds {
            let name = format!("{}, {callers}", kind.name());
            bench.section.add(Figure::new(&name, Unit::PerSecond, rounds.rates()));
            bench.section.add(Figure::new(format!("{name}, p50"), Unit::Ms, rounds.p50s()));
            let p99 = Figure::new(format!("{name}, p99"), Unit::Ms, rounds.p99s());
            let is_goal = *kind == Kind::Daybook && self.callers == CROWD;
            bench.section.add(if is_goal { p99.at_most(10.0) } else { p99 });
            let point = (self.callers as f64, median(&rounds.rates()));
            bench.section.point(CHART, kind.name(), point);
        }
        for (kind, rounds) in self.rounds.iter().filter(|(kind, _)| *kind != Kind::Daybook) {
            let name = format!("daybook / {}, {callers}", kind.name());
            let ratio = Figure::ratio(name, &ours, &rounds.rates());
            bench.section.add(match kind.is_framework() {
                true if self.callers == CROWD => ratio.at_least(8.0),
                true => ratio,
                false => ratio.at_least(goal),
            });
        }
        if let Some(limits) = &self.limits {
            limits.report(bench, &ours);
        }
    }
}

fn takes_part(kind: Kind, callers: usize) -> bool {
    !kind.is_framework() || FRAMEWORKS.contains(&callers)
}

fn who(callers: usize) -> String {
    if callers == 1 { "1 caller".into() } else { format!("{callers} callers") }
}

async fn one(bench: &Bench<'_>, contestant: &mut Contestant, callers: usize) -> Result<Round> {
    bench.servers.checkpoint().await?;
    let peer = contestant.peer.clone();
    let one = move |caller, number| {
        let peer = peer.clone();
        async move { peer.append(caller, number).await }
    };
    let round = closed_loop(callers, bench.pace.round(), one).await?;
    contestant.verify(round.all).await?;
    Ok(round)
}

/// What the same Postgres does without any event store in front of it.
struct Limits {
    copy: Copy,
    pgbench: Pgbench,
    copied: Vec<f64>,
    /// Clients, and rates.
    inserted: Vec<(usize, Vec<f64>)>,
}

impl Limits {
    async fn open(bench: &Bench<'_>) -> Result<Self> {
        let rows = bench.pace.pick(100_000, 5_000);
        let clients = bench.pace.pick(&PGBENCH_CLIENTS[..], &PGBENCH_CLIENTS[1..2]);
        Ok(Limits {
            copy: Copy::open(bench.servers, "append_copy", rows).await?,
            pgbench: Pgbench::open(bench.servers, "append_pgbench", rows).await?,
            copied: Vec::new(),
            inserted: clients.iter().map(|clients| (*clients, Vec::new())).collect(),
        })
    }

    async fn round(&mut self, bench: &Bench<'_>) -> Result<()> {
        bench.servers.checkpoint().await?;
        self.copied.push(self.copy.run(bench.pace.round()).await?);
        for (clients, rates) in &mut self.inserted {
            bench.servers.checkpoint().await?;
            rates.push(self.pgbench.run(*clients, bench.pace.round()).await?);
        }
        Ok(())
    }

    fn report(&self, bench: &mut Bench<'_>, ours: &[f64]) {
        let name = format!("daybook / COPY, {}", who(CROWD));
        bench.section.add(Figure::ratio(name, ours, &self.copied).at_least(0.6));
        let name = "COPY of the same rows, one connection, one commit";
        bench.section.add(Figure::new(name, Unit::PerSecond, self.copied.clone()));
        for callers in [LEVELS[0].0, LEVELS[LEVELS.len() - 1].0] {
            let point = (callers as f64, median(&self.copied));
            bench.section.point(CHART, "COPY, one connection", point);
        }
        for (clients, rates) in &self.inserted {
            let name = format!("pgbench, one insert, {clients} clients");
            bench.section.add(Figure::new(name, Unit::PerSecond, rates.clone()));
        }
    }
}
