//! What was done, and what came of it, for whoever runs it for long.

#![expect(clippy::print_stdout, reason = "it is for whoever runs it for long")]

use crate::customers::Customers;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Table {
    faults: Vec<(String, u64)>,
}

impl Table {
    pub(super) fn print(&self, customers: &Customers, took: Duration) {
        println!("{:.0} s", took.as_secs_f64());
        println!("{:40} {:>6}", "ended", "times");
        for (name, times) in &self.faults {
            println!("{name:40} {times:>6}");
        }
        for kind in ["process", "Postgres", "Kafka"] {
            let of_kind = self.faults.iter().filter(|(name, _)| name.starts_with(kind));
            let times: u64 = of_kind.map(|(_, times)| times).sum();
            println!("{:40} {times:>6}", format!("faults of kind {kind}"));
        }
        customers.tell();
    }

    /// The kind comes first.
    pub(super) fn count(&mut self, name: &str) {
        match self.faults.iter_mut().find(|(known, _)| known == name) {
            Some((_, times)) => *times += 1,
            None => self.faults.push((name.to_owned(), 1)),
        }
    }
}
