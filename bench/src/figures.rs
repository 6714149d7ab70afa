//! Rates and latencies, and how they are printed.

use hdrhistogram::Histogram;
use std::fmt;
use std::time::Duration;

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

    pub fn over(&self, time: Duration) -> Round {
        let ms = |quantile| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        Round { rate: self.0.len() as f64 / time.as_secs_f64(), p50: ms(0.5), p99: ms(0.99) }
    }
}

/// One run: per second, and milliseconds.
#[derive(Clone, Copy)]
pub struct Round {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms", self.rate, self.p50, self.p99)
    }
}

/// The round with the median rate.
pub fn median_of(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    rounds[rounds.len() / 2]
}

/// What the figures were measured on.
pub fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let line = |text: &str, key: &str| {
        text.lines()
            .find(|l| l.starts_with(key))
            .and_then(|l| l.split(':').nth(1))
            .map(|v| v.trim().to_owned())
    };
    let cpu = line(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown CPU".into());
    let memory = line(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores of {cpu}, {memory} of memory; load generator, Postgres and Kafka share them"
    )
}
