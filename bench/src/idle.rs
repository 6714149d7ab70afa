//! Appends beside a transaction that holds an old snapshot, as a forgotten psql or a long report does. Where an
//! append updates rows, their dead versions cannot be removed meanwhile, and it gets slower by the minute.

use crate::bench::Bench;
use crate::load::{Rounds, closed_loop};
use crate::peers::{Contestant, Kind};
use crate::report::{Figure, Unit};
use anyhow::Result;
use std::time::Duration;

const CALLERS: usize = 256;

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let (mut with, mut without) = (Rounds::default(), Rounds::default());
    for _ in 0..bench.pace.rounds {
        for (idle, rounds) in [(false, &mut without), (true, &mut with)] {
            rounds.0.push(minute(bench, idle).await?);
        }
    }
    let section = &mut bench.section;
    section.add(Figure::new("without it", Unit::PerSecond, without.rates()));
    section.add(Figure::new("without it, p99", Unit::Ms, without.p99s()));
    section.add(Figure::new("beside it", Unit::PerSecond, with.rates()));
    section.add(Figure::new("beside it, p99", Unit::Ms, with.p99s()));
    // Two runs of the same differ by as much.
    let ratio = Figure::ratio("beside it / without it", &with.rates(), &without.rates());
    section.add(ratio.at_least(0.95));
    Ok(())
}

/// On a log of its own: in a minute it gets millions of events.
async fn minute(bench: &Bench<'_>, idle: bool) -> Result<crate::load::Round> {
    let time = bench.pace.pick(Duration::from_secs(60), Duration::from_secs(1));
    let rows = bench.pace.pick(100_000, 5_000);
    let mut ours = Contestant::open(bench.servers, "idle", Kind::Daybook, rows).await?;
    bench.servers.checkpoint().await?;
    let client = ours.database.connect("bench idle").await?;
    if idle {
        hold(&client).await?;
    }
    let peer = ours.peer.clone();
    let one = move |caller, number| {
        let peer = peer.clone();
        async move { peer.append(caller, number).await }
    };
    let round = closed_loop(CALLERS, time, one).await?;
    ours.verify(round.all).await?;
    drop(client);
    ours.close(bench.servers).await?;
    Ok(round)
}

/// The snapshot is taken by the first statement.
async fn hold(client: &tokio_postgres::Client) -> Result<()> {
    let begin = "begin isolation level repeatable read; select count(*) from shop.log_partition";
    Ok(client.batch_execute(begin).await?)
}
