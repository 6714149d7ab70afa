//! Where an append spends its time, of few callers and of a crowd: what the lanes' sessions are seen doing in Postgres, what a commit takes,
//! and whose the processor is.

use crate::bench::Bench;
use crate::cpu::Cpu;
use crate::load::{closed_loop, whole};
use crate::peers::{Contestant, Kind};
use crate::report::{Better, Figure, Section, Unit, median};
use anyhow::Result;
use std::collections::BTreeMap;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

const CALLERS: [usize; 4] = [1, 16, 64, 256];
/// What is seen less often, in hundredths, is left out.
const RARE: f64 = 0.5;
const LOOK: Duration = Duration::from_millis(5);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let rows = bench.pace.pick(100_000, 5_000);
    let mut ours = Contestant::open(bench.servers, "waits", Kind::Daybook, rows).await?;
    let client = ours.database.connect("bench").await?;
    timed(&client, "on").await?;
    let mut rounds = CALLERS.map(|_| Vec::new());
    for _ in 0..bench.pace.rounds {
        for (callers, rounds) in CALLERS.into_iter().zip(&mut rounds) {
            rounds.push(round(bench, &mut ours, callers).await?);
        }
    }
    timed(&client, "off").await?;
    drop(client);
    ours.close(bench.servers).await?;
    for (callers, rounds) in CALLERS.into_iter().zip(&rounds) {
        show(&mut bench.section, callers, rounds);
    }
    Ok(())
}

fn show(section: &mut Section, callers: usize, rounds: &[Seen]) {
    let mut named: Vec<&String> = rounds.iter().flat_map(|it| it.shares.keys()).collect();
    named.sort();
    named.dedup();
    let of = |what: fn(&Seen) -> f64| rounds.iter().map(what).collect::<Vec<_>>();
    let less = |figure: Figure| Figure { better: Better::Less, ..figure };
    let who = if callers == 1 { "1 caller".to_owned() } else { format!("{callers} callers") };
    section.add(Figure::new(format!("appends, {who}"), Unit::PerSecond, of(|it| it.rate)));
    section.add(Figure::new(format!("appends, {who}, p50"), Unit::Ms, of(|it| it.p50)));
    section.add(Figure::new(format!("appends, {who}, p99"), Unit::Ms, of(|it| it.p99)));
    let name = |what: &str| format!("{who}: {what}");
    section.add(Figure::new(name("commits"), Unit::PerSecond, of(|it| it.commits)));
    section.add(less(Figure::new(name("appends in a commit"), Unit::Count, of(|it| it.batch))));
    let flush = name("a flush of the WAL, on average");
    section.add(less(Figure::new(flush, Unit::Ms, of(|it| it.flush))));
    for whose in ["postgres", "bench"] {
        let share = |it: &Seen| it.cpu.iter().find(|it| it.0 == whose).map_or(0.0, |it| it.1);
        let shares = rounds.iter().map(share).collect();
        section.add(less(Figure::new(
            name(&format!("of both cores, {whose}")),
            Unit::Percent,
            shares,
        )));
    }
    for what in named {
        let share = |it: &Seen| it.shares.get(what).copied().unwrap_or(0.0);
        let shares: Vec<f64> = rounds.iter().map(share).collect();
        if median(&shares) < RARE {
            continue;
        }
        let name = name(&format!("a lane's session: {what}"));
        section.add(less(Figure::new(name, Unit::Percent, shares)));
    }
}

struct Seen {
    rate: f64,
    p50: f64,
    p99: f64,
    commits: f64,
    batch: f64,
    flush: f64,
    /// By process, in hundredths of all cores.
    cpu: Vec<(&'static str, f64)>,
    /// In hundredths of the looks at the lanes' sessions.
    shares: BTreeMap<String, f64>,
}

async fn round(bench: &Bench<'_>, ours: &mut Contestant, callers: usize) -> Result<Seen> {
    bench.servers.checkpoint().await?;
    let client = ours.database.connect("bench look").await?;
    let (stop, time) = (
        CancellationToken::new(),
        bench.pace.pick(Duration::from_secs(10), Duration::from_millis(500)),
    );
    let looking = tokio::spawn(look(ours.database.connect("bench look").await?, stop.clone()));
    let peer = ours.peer.clone();
    let one = move |caller, number| {
        let peer = peer.clone();
        async move { peer.append(caller, number).await }
    };
    let (before, cpu) = (flushed(&client).await?, Cpu::now()?);
    let load = closed_loop(callers, time, one).await?;
    let (used, after) = (Cpu::now()?, flushed(&client).await?);
    stop.cancel();
    let shares = looking.await??;
    ours.verify(load.all).await?;
    let whole = whole(time);
    let cores = available_parallelism()?.get() as f64;
    // Milliseconds for each hundredth of what all cores have.
    let hundredth = whole.as_secs_f64() * 1_000.0 * cores / 100.0;
    let (flushes, ms) = (after.0 - before.0, after.1 - before.1);
    Ok(Seen {
        rate: load.rate,
        p50: load.p50,
        p99: load.p99,
        commits: flushes / whole.as_secs_f64(),
        batch: load.all as f64 / flushes,
        flush: ms / flushes,
        cpu: used.since(&cpu, hundredth),
        shares,
    })
}

/// Postgres looks at its clock before and after a flush only if it is told to.
async fn timed(client: &Client, on: &str) -> Result<()> {
    client.batch_execute(&format!("alter system set track_wal_io_timing = {on}")).await?;
    client.batch_execute("select pg_reload_conf()").await?;
    Ok(())
}

/// How often the WAL was flushed so far, and in how many milliseconds together, its writing included.
async fn flushed(client: &Client) -> Result<(f64, f64)> {
    let sql = "select wal_sync::float8, wal_sync_time + wal_write_time from pg_stat_wal";
    // What a session has done is told once a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let row = client.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

async fn look(client: Client, stop: CancellationToken) -> Result<BTreeMap<String, f64>> {
    let sql = "select case when state <> 'active' then 'waits for the program' \
                 else coalesce('waits in Postgres: ' || wait_event_type || ' ' || wait_event, 'works, or waits for a core') end \
               from pg_stat_activity \
               where datname = current_database() and application_name like 'daybook%lane%'";
    let statement = client.prepare(sql).await?;
    let (mut counts, mut all) = (BTreeMap::<String, f64>::new(), 0.0);
    let mut next = interval(LOOK);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(next.tick()).await.is_some() {
        for row in client.query(&statement, &[]).await? {
            *counts.entry(row.get(0)).or_default() += 1.0;
            all += 1.0;
        }
    }
    Ok(counts.into_iter().map(|(name, count)| (name, count * 100.0 / all)).collect())
}
