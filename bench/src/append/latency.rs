//! What an append feels like at a load that does not wait for it: open loop, from when each was due.

use crate::bench::Bench;
use crate::load::{Rounds, open_loop};
use crate::peers::{Contestant, Kind};
use crate::report::{Chart, Figure, Unit, median};
use anyhow::Result;

/// Shares of what the log does with 256 callers.
const SHARES: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.85];
/// May be under way at a time.
const CALLERS: usize = 1024;

const CHART: Chart = Chart::new(
    "append-latency",
    "Latency of an append, open loop, from when it was due",
    "appends/s asked for",
    "ms",
);

pub async fn run(bench: &mut Bench<'_>, peak: f64) -> Result<()> {
    let rows = bench.pace.pick(100_000, 5_000);
    let mut contestants = Vec::new();
    for kind in [Kind::Daybook, Kind::Insert] {
        contestants.push(Contestant::open(bench.servers, "latency", kind, rows).await?);
    }
    for share in bench.pace.pick(&SHARES[..], &SHARES[2..4]) {
        for contestant in &mut contestants {
            let per_second = peak * share;
            let rounds = rounds(bench, contestant, per_second).await?;
            let Some(rounds) = rounds else { continue };
            let name = contestant.kind.name();
            let (p50, p99) = (rounds.p50s(), rounds.p99s());
            bench.section.point(CHART, &format!("{name}, p50"), (per_second, median(&p50)));
            bench.section.point(CHART, &format!("{name}, p99"), (per_second, median(&p99)));
            let name = format!("{name}, open loop at {:.0} % of daybook's peak", share * 100.0);
            bench.section.add(Figure::new(&name, Unit::PerSecond, rounds.rates()));
            bench.section.add(Figure::new(format!("{name}, p50"), Unit::Ms, p50));
            bench.section.add(Figure::new(format!("{name}, p99"), Unit::Ms, p99));
        }
    }
    for contestant in contestants {
        contestant.close(bench.servers).await?;
    }
    Ok(())
}

/// Nothing if it cannot keep up: the latency would only say how long the round was.
async fn rounds(
    bench: &Bench<'_>,
    contestant: &mut Contestant,
    per_second: f64,
) -> Result<Option<Rounds>> {
    let mut rounds = Rounds::default();
    for _ in 0..bench.pace.rounds {
        bench.servers.checkpoint().await?;
        let peer = contestant.peer.clone();
        let one = move |caller, number| {
            let peer = peer.clone();
            async move { peer.append(caller, number).await }
        };
        let (round, kept_up) = open_loop(CALLERS, per_second, bench.pace.round(), one).await?;
        contestant.verify(round.all).await?;
        if !kept_up {
            println!("  {} cannot do {per_second:.0}/s", contestant.kind.name());
            return Ok(None);
        }
        rounds.0.push(round);
    }
    Ok(Some(rounds))
}
