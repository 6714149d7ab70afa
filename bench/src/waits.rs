//! Where an append spends its time, of few callers and of a crowd: what the lanes' sessions in Postgres do, as the kernel counts it, what a
//! commit takes, and whose the processor is. To look at the sessions every few milliseconds tells something else: who looks needs a core
//! too, and gets it when a session gives it up.

use crate::bench::Bench;
use crate::cpu::Cpu;
use crate::load::{closed_loop, whole};
use crate::peers::{Contestant, Kind};
use crate::report::{Better, Figure, Section, Unit};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio_postgres::Client;

const CALLERS: [usize; 4] = [1, 16, 64, 256];
const OF_A_LANE: [&str; 4] = [
    "has a core",
    "waits for a core",
    "waits for the flush of its commit",
    "waits for the program, or for the other lane",
];

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let rows = bench.pace.pick(100_000, 5_000);
    let mut ours = Contestant::open(bench.servers, "waits", Kind::Daybook, rows).await?;
    let client = ours.database.connect("bench").await?;
    timed(&client, "on").await?;
    let mut rounds = CALLERS.map(|_| Vec::new());
    for _ in 0..bench.pace.pick(bench.pace.rounds, 1) {
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
    for (at, what) in OF_A_LANE.into_iter().enumerate() {
        let shares = rounds.iter().map(|it| it.lane[at]).collect();
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
    /// In hundredths of the time of the lanes' sessions, as [`OF_A_LANE`] names them.
    lane: [f64; OF_A_LANE.len()],
}

async fn round(bench: &Bench<'_>, ours: &mut Contestant, callers: usize) -> Result<Seen> {
    bench.servers.checkpoint().await?;
    let client = ours.database.connect("bench look").await?;
    let time = bench.pace.pick(Duration::from_secs(5), Duration::from_millis(500));
    let peer = ours.peer.clone();
    let one = move |caller, number| {
        let peer = peer.clone();
        async move { peer.append(caller, number).await }
    };
    let before = flushed(&client).await?;
    let (lanes, cpu) = (scheduled(&client).await?, Cpu::now()?);
    let load = closed_loop(callers, time, one).await?;
    let (used, lanes_after) = (Cpu::now()?, scheduled(&client).await?);
    let after = flushed(&client).await?;
    ours.verify(load.all).await?;
    let whole = whole(time);
    let cores = available_parallelism()?.get() as f64;
    // Milliseconds for each hundredth of what all cores have.
    let hundredth = whole.as_secs_f64() * 1_000.0 * cores / 100.0;
    let (flushes, ms) = (after.0 - before.0, after.1 - before.1);
    let lane = shares(&lanes, &lanes_after, (ms, whole.as_secs_f64() * 1_000.0));
    Ok(Seen {
        rate: load.rate,
        p50: load.p50,
        p99: load.p99,
        commits: flushes / whole.as_secs_f64(),
        batch: load.all as f64 / flushes,
        flush: ms / flushes,
        cpu: used.since(&cpu, hundredth),
        lane,
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

/// What each of the lanes' sessions had of the cores so far, and waited for one, in milliseconds.
async fn scheduled(client: &Client) -> Result<BTreeMap<i32, [f64; 2]>> {
    let sql = "select pid from pg_stat_activity \
               where datname = current_database() and application_name like 'daybook%lane%'";
    let mut lanes = BTreeMap::new();
    for row in client.query(sql, &[]).await? {
        let pid = row.get(0);
        let path = format!("/proc/{pid}/schedstat");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{path} is needed"))?;
        // Nanoseconds on a core, and on the queue for one: Documentation/scheduler/sched-stats.rst of the kernel.
        let mut ms = text.split_whitespace().map(|it| it.parse::<f64>().map(|ns| ns / 1e6));
        let ran = ms.next().context("schedstat is empty")??;
        lanes.insert(pid, [ran, ms.next().context("schedstat is short")??]);
    }
    Ok(lanes)
}

/// Of the sessions that did anything: in hundredths of their time, as [`OF_A_LANE`] names them.
fn shares(
    before: &BTreeMap<i32, [f64; 2]>,
    after: &BTreeMap<i32, [f64; 2]>,
    (flush_ms, whole_ms): (f64, f64),
) -> [f64; OF_A_LANE.len()] {
    let since = after.iter().map(|(pid, [ran, waited])| {
        let [ran_before, waited_before] = before.get(pid).copied().unwrap_or_default();
        [ran - ran_before, waited - waited_before]
    });
    let busy: Vec<_> = since.filter(|[ran, _]| *ran > whole_ms / 100.0).collect();
    let share = |ms: f64| ms * 100.0 / (whole_ms * busy.len() as f64);
    let (ran, waited) = (busy.iter().map(|it| it[0]).sum(), busy.iter().map(|it| it[1]).sum());
    let [ran, waited, flushing] = [ran, waited, flush_ms].map(share);
    [ran, waited, flushing, (100.0 - ran - waited - flushing).max(0.0)]
}
