//! Orders as fast as they settle: so many are under way, and the next is placed when one is confirmed. What each
//! costs is told too: processor time of each kind of process, and commits.

use crate::bench::Bench;
use crate::caller::Caller;
use crate::cpu::Cpu;
use crate::peak::drained;
use crate::process::Daybook;
use crate::report::{Better, Figure, Unit};
use crate::shop;
use anyhow::{Context, Result};
use event_store::{Database, Log, LogSettings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

/// Orders under way at once.
pub const WINDOW: usize = 2_048;
const CALLERS: usize = 32;

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let data = bench.servers.folder("settled");
    let (daybook, _) = Daybook::start(&data, &[]).await?;
    shop::prepare(&daybook.door()).await?;
    let database = shop::database(&data)?;
    let (warm, time) = bench.pace.pick((15, 60), (2, 5));
    let times = [warm, time].map(Duration::from_secs);
    let (mut rates, mut commits, mut cpu) = (Vec::new(), Vec::new(), BTreeMap::<_, Vec<_>>::new());
    for _ in 0..bench.pace.pick(bench.pace.rounds, 1) {
        let settled = load(&daybook.url, &database, times).await?;
        rates.push(settled.rate());
        commits.push((settled.last.commits - settled.first.commits) as f64 / settled.orders());
        for (whose, ms) in settled.cpu() {
            cpu.entry(whose).or_default().push(ms);
        }
        drained(&daybook.door()).await?;
    }
    let name = format!("orders settled, {WINDOW} under way");
    bench.section.add(Figure::new(name, Unit::PerSecond, rates).at_least(500.0));
    for (whose, ms) in cpu {
        let name = format!("processor time for each order, {whose}");
        bench.section.add(Figure::new(name, Unit::Ms, ms));
    }
    let name = "transactions for each order, reads included";
    let commits = Figure::new(name, Unit::Times, commits);
    bench.section.add(Figure { better: Better::Less, ..commits });
    daybook.stop().await
}

/// The time that counts.
pub struct Settled {
    first: Mark,
    last: Mark,
}

impl Settled {
    fn orders(&self) -> f64 {
        (self.last.confirmed - self.first.confirmed) as f64
    }

    pub fn rate(&self) -> f64 {
        self.orders() / (self.last.at - self.first.at).as_secs_f64()
    }

    /// Processor time for each order, by the name of the process.
    pub fn cpu(&self) -> Vec<(&'static str, f64)> {
        self.last.cpu.since(&self.first.cpu, self.orders())
    }
}

/// How far it is at a moment.
struct Mark {
    confirmed: usize,
    at: Instant,
    cpu: Cpu,
    commits: i64,
}

/// Places orders, and marks the end of the warm-up and of the time that counts.
pub async fn load(url: &str, orders: &Database, [warm, time]: [Duration; 2]) -> Result<Settled> {
    let client = orders.connect("bench").await?;
    let log = Log::open(LogSettings::new("orders", 8, orders.clone())).await?;
    let room = Arc::new(Semaphore::new(WINDOW));
    let began = Instant::now();
    let until = began + warm + time;
    let mut placing = JoinSet::new();
    for caller in 0..CALLERS {
        let connection = Caller::connect(url).await?;
        placing.spawn(place(connection, caller, room.clone(), until));
    }
    // Of those that were confirmed before, nothing is read.
    let mut next = log.heads().await?;
    let (mut confirmed, mut first) = (0, None);
    let mut look = interval(Duration::from_millis(50));
    let last = loop {
        look.tick().await;
        let new = confirmations(&log, &mut next).await?;
        confirmed += new;
        room.add_permits(new);
        let mark = async |at| {
            let commits = "select sum(xact_commit)::int8 from pg_stat_database";
            let commits = client.query_one(commits, &[]).await?.get(0);
            Ok::<_, anyhow::Error>(Mark { confirmed, at, cpu: Cpu::now()?, commits })
        };
        let now = Instant::now();
        if first.is_none() && now >= began + warm {
            first = Some(mark(now).await?);
        }
        if now >= until {
            break mark(now).await?;
        }
    };
    // Nobody waits for room any more.
    room.add_permits(CALLERS);
    while let Some(placed) = placing.join_next().await {
        placed??;
    }
    log.close().await;
    Ok(Settled { first: first.context("the warm-up never ended")?, last })
}

async fn place(
    mut connection: Caller,
    caller: usize,
    room: Arc<Semaphore>,
    until: Instant,
) -> Result<()> {
    let mut i = caller;
    while Instant::now() < until {
        room.acquire().await?.forget();
        if !connection.place(shop::order(i, 1)).await? {
            room.add_permits(1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        i += CALLERS;
    }
    Ok(())
}

/// How many orders were confirmed since the last look.
async fn confirmations(log: &Log, next: &mut [i64]) -> Result<usize> {
    let mut new = 0;
    for (partition, next) in (0..).zip(next.iter_mut()) {
        for event in log.read_partition(partition, *next, 10_000).await? {
            *next = event.offset + 1;
            new += usize::from(event.event_type == "order.confirmed");
        }
    }
    Ok(new)
}
