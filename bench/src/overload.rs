//! Twice the load that can be served: what is accepted, what is refused and how soon, and what memory does.

use crate::bench::Bench;
use crate::caller::Caller;
use crate::peak::verify_placed;
use crate::process::Daybook;
use crate::report::{Figure, Section, Unit};
use crate::shop;
use anyhow::Result;
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};

const CALLERS: usize = 64;
const LOOK_AT_MEMORY: Duration = Duration::from_secs(5);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let minutes = std::env::var("MINUTES").map_or(Ok(1.0), |minutes| minutes.parse())?;
    let data = bench.servers.folder("overload");
    let (daybook, _) = Daybook::start(&data, &[]).await?;
    shop::prepare(&daybook.door()).await?;
    let callers = Callers { url: daybook.url.clone(), free: Arc::default() };
    let Bench { pace, section, .. } = bench;
    let calm = Duration::from_secs(pace.pick(15, 2));
    let at_peak = peak(&callers, calm).await?;
    let peak = f64::from(at_peak) / calm.as_secs_f64();
    let name = format!("orders accepted, {CALLERS} callers");
    section.add(Figure::new(name, Unit::PerSecond, vec![peak]));
    let half = open_loop(&daybook, &callers, peak * 0.5, calm).await?;
    half.show("half of it", section);
    let long = pace.pick(Duration::from_secs_f64(minutes * 60.0), calm);
    let over = open_loop(&daybook, &callers, peak * 2.0, long).await?;
    over.show("twice as much", section);
    println!("  memory under it, each half minute, MiB: {}", over.memory_each(30));
    let most = over.memory.iter().copied().fold(0.0, f64::max);
    section.add(Figure::new("twice as much: memory, the most", Unit::Mib, vec![most]));
    let after = open_loop(&daybook, &callers, peak * 0.25, calm).await?;
    after.show("a quarter, afterwards", section);
    let accepted = [half, over, after].map(|load| load.accepted.len()).iter().sum::<u64>();
    verify_placed(&shop::database(&data)?, u64::from(at_peak) + accepted).await?;
    daybook.stop().await
}

/// Connections that nobody uses now; who finds none makes another. They are used in turn: the server closes those that
/// stay idle.
#[derive(Clone)]
struct Callers {
    url: String,
    free: Arc<Mutex<VecDeque<Caller>>>,
}

impl Callers {
    fn free(&self) -> MutexGuard<'_, VecDeque<Caller>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn place(&self, i: usize) -> Result<bool> {
        let free = self.free().pop_front();
        let mut caller = match free {
            Some(caller) => caller,
            None => Caller::connect(&self.url).await?,
        };
        let accepted = caller.place(shop::order(i, 1)).await?;
        self.free().push_back(caller);
        Ok(accepted)
    }
}

/// How many were accepted.
async fn peak(callers: &Callers, time: Duration) -> Result<u32> {
    let until = Instant::now() + time;
    let mut loops = JoinSet::new();
    for caller in 0..CALLERS {
        let callers = callers.clone();
        loops.spawn(async move {
            let mut accepted = 0_u32;
            let mut i = caller;
            while Instant::now() < until {
                match callers.place(i).await? {
                    true => accepted += 1,
                    false => sleep(Duration::from_millis(20)).await,
                }
                i += CALLERS;
            }
            Ok::<u32, anyhow::Error>(accepted)
        });
    }
    let mut accepted = 0;
    while let Some(ended) = loops.join_next().await {
        accepted += ended??;
    }
    Ok(accepted)
}

struct Load {
    /// From the moment when the order was due to be sent, in microseconds.
    accepted: Histogram<u64>,
    refused: Histogram<u64>,
    memory: Vec<f64>,
    took: Duration,
}

impl Load {
    fn memory_each(&self, seconds: u64) -> String {
        let step = usize::try_from(seconds / LOOK_AT_MEMORY.as_secs()).unwrap_or(1);
        let shown: Vec<_> =
            self.memory.iter().step_by(step).map(|mib| format!("{mib:.0}")).collect();
        shown.join(" ")
    }

    fn show(&self, name: &str, section: &mut Section) {
        for (what, answers) in [("accepted", &self.accepted), ("refused", &self.refused)] {
            let rate = answers.len() as f64 / self.took.as_secs_f64();
            section.add(Figure::new(format!("{name}: {what}"), Unit::PerSecond, vec![rate]));
            for (quantile, p) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
                if !answers.is_empty() {
                    let ms = answers.value_at_quantile(quantile) as f64 / 1e3;
                    section.add(Figure::new(format!("{name}: {what}, {p}"), Unit::Ms, vec![ms]));
                }
            }
        }
    }
}

/// An order is sent when it is due, whatever became of those before.
async fn open_loop(
    daybook: &Daybook,
    callers: &Callers,
    per_second: f64,
    time: Duration,
) -> Result<Load> {
    let (accepted, refused) = (Histogram::new(3)?, Histogram::new(3)?);
    let mut load = Load { accepted, refused, memory: Vec::new(), took: time };
    let mut under_way = JoinSet::new();
    let mut look = interval(LOOK_AT_MEMORY);
    let began = Instant::now();
    let count = (per_second * time.as_secs_f64()) as usize;
    let mut sent = 0;
    while sent < count || !under_way.is_empty() {
        let due = began + Duration::from_secs_f64(sent as f64 / per_second);
        tokio::select! {
            () = sleep_until(due), if sent < count => {
                let callers = callers.clone();
                under_way.spawn(async move { (callers.place(sent).await, due.elapsed()) });
                sent += 1;
            }
            Some(answered) = under_way.join_next() => {
                let (accepted, took) = answered?;
                let kind = if accepted? { &mut load.accepted } else { &mut load.refused };
                kind.record(u64::try_from(took.as_micros())?)?;
            }
            _ = look.tick() => load.memory.push(daybook.memory_mib()?),
        }
    }
    load.took = began.elapsed();
    Ok(load)
}
