//! Load and how long its answers take: closed loops find what can be done, open loops what it feels like.

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub struct Latencies(Histogram<u64>);

impl Latencies {
    pub fn new() -> Self {
        // Microseconds up to ten minutes, three digits.
        Latencies(Histogram::new_with_max(600_000_000, 3).expect("the bounds are in order"))
    }

    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_micros() as u64);
    }

    pub fn add(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// One run: per second, and milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Round {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    /// What was done in all, the warm-up included: so much must be in the database.
    pub all: u64,
}

/// The rounds of one contestant.
#[derive(Clone, Debug, Default)]
pub struct Rounds(pub Vec<Round>);

impl Rounds {
    pub fn rates(&self) -> Vec<f64> {
        self.0.iter().map(|r| r.rate).collect()
    }

    pub fn p50s(&self) -> Vec<f64> {
        self.0.iter().map(|r| r.p50).collect()
    }

    pub fn p99s(&self) -> Vec<f64> {
        self.0.iter().map(|r| r.p99).collect()
    }
}

/// A number that nobody had before.
fn number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// What is not measured comes first: connections are made, statements prepared, plans chosen.
fn warm_up(time: Duration) -> Duration {
    (time / 4).min(Duration::from_secs(1))
}

/// How long a closed loop goes on that measures so long.
pub fn whole(time: Duration) -> Duration {
    warm_up(time) + time
}

/// `callers` callers, each sends the next when the last is answered. `one` gets the caller and a fresh number.
pub async fn closed_loop<F, R>(callers: usize, time: Duration, one: F) -> Result<Round>
where
    F: Fn(usize, u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let warm = Instant::now() + warm_up(time);
    let end = warm + time;
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let one = one.clone();
        tasks.spawn(async move {
            let mut done = Done::new();
            while Instant::now() < end {
                let began = Instant::now();
                one(caller, number()).await?;
                done.all += 1;
                let now = Instant::now();
                // By when it was answered, so that a round holds neither more nor less than its time. Who still
                // waits at its end has waited all the same.
                done.in_time += u64::from(now >= warm && now < end);
                if now >= warm {
                    done.latencies.record(now - began);
                }
            }
            Ok(done)
        });
    }
    gather(tasks, time).await
}

/// `per_second` whatever becomes of those before: the latency of each counts from when it was due, not from when
/// somebody was free to send it. `callers` is how many may be under way at a time. Says also whether the load was
/// kept up with: whether the last ones were done soon after the end.
pub async fn open_loop<F, R>(
    callers: usize,
    per_second: f64,
    time: Duration,
    one: F,
) -> Result<(Round, bool)>
where
    F: Fn(usize, u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let began = Instant::now();
    let warm = began + warm_up(time);
    let end = warm + time;
    let step = Duration::from_secs_f64(callers as f64 / per_second);
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let one = one.clone();
        // Each has its turn of the schedule, and the turns are spread evenly.
        let mut due = began + step.mul_f64(caller as f64 / callers as f64);
        tasks.spawn(async move {
            let mut done = Done::new();
            while due < end {
                sleep_until(due).await;
                one(caller, number()).await?;
                done.all += 1;
                if due >= warm {
                    done.in_time += 1;
                    done.latencies.record(due.elapsed());
                }
                due += step;
            }
            Ok(done)
        });
    }
    let round = gather(tasks, time).await?;
    Ok((round, end.elapsed() < time / 4))
}

/// What one caller did.
struct Done {
    latencies: Latencies,
    in_time: u64,
    all: u64,
}

impl Done {
    fn new() -> Self {
        Done { latencies: Latencies::new(), in_time: 0, all: 0 }
    }
}

async fn gather(mut tasks: JoinSet<Result<Done>>, time: Duration) -> Result<Round> {
    let mut sum = Done::new();
    while let Some(ended) = tasks.join_next().await {
        let Done { latencies, in_time, all } = ended??;
        sum.latencies.add(&latencies);
        sum.in_time += in_time;
        sum.all += all;
    }
    let (p50, p99) = (sum.latencies.quantile_ms(0.5), sum.latencies.quantile_ms(0.99));
    Ok(Round { rate: sum.in_time as f64 / time.as_secs_f64(), p50, p99, all: sum.all })
}
