//! What an import did, for the person who ran it.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{Import, client::Stop, plan::Plan, reject::Reject, sending::Tally};

#[derive(Debug)]
pub struct Report {
    file: String,
    url: String,
    /// How many the plan had.
    pub planned: Planned,
    pub tally: Tally,
    /// Of the rules and of Daybook, by line.
    pub rejects: Vec<Reject>,
    took: Duration,
    /// Why it ended before everything was settled.
    pub stopped: Option<Stop>,
}

#[derive(Debug)]
pub struct Planned {
    pub products: usize,
    pub receipts: usize,
    pub adjustments: usize,
    pub orders: usize,
}

impl Report {
    pub(super) fn new(
        import: &Import,
        plan: &Plan,
        mut tally: Tally,
        took: Duration,
        stopped: Option<Stop>,
    ) -> Self {
        let mut rejects = plan.rejects.clone();
        rejects.append(&mut tally.rejects);
        rejects.sort();
        let planned = Planned {
            products: plan.products.len(),
            receipts: plan.receipts.iter().map(|receipt| receipt.pieces().count()).sum(),
            adjustments: plan.adjustments.len(),
            orders: plan.orders.len(),
        };
        let file = import.file.display().to_string();
        Self { file, url: import.url.clone(), planned, tally, rejects, took, stopped }
    }

    /// Whether all that was to be sent was taken, and every order was shipped or cancelled.
    pub fn is_settled(&self) -> bool {
        self.stopped.is_none()
            && self.tally.refused == 0
            && self.tally.shipped + self.tally.cancelled == self.planned.orders
    }

    fn rejects_by_reason(&self) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for reject in &self.rejects {
            *reasons.entry(reject.reason.as_str()).or_default() += 1;
        }
        reasons
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tally, planned) = (&self.tally, &self.planned);
        let seconds = self.took.as_secs_f64();
        let rate = tally.answered as f64 / seconds.max(0.001);
        writeln!(out, "{} into {} in {seconds:.1} s", self.file, self.url)?;
        writeln!(out, "  commands     {} answered, {rate:.0} a second", tally.answered)?;
        writeln!(out, "  products     {} of {} listed", tally.products, planned.products)?;
        writeln!(out, "  receipts     {} of {} taken", tally.receipts, planned.receipts)?;
        writeln!(out, "  adjustments  {} of {} taken", tally.adjustments, planned.adjustments)?;
        writeln!(
            out,
            "  orders       {} of {} placed, {} confirmed, {} shipped, {} cancelled",
            tally.placed, planned.orders, tally.confirmed, tally.shipped, tally.cancelled
        )?;
        writeln!(out, "  refused      {} commands", tally.refused)?;
        writeln!(out, "  rejects      {}", self.rejects.len())?;
        for (reason, count) in self.rejects_by_reason() {
            writeln!(out, "    {count:>8} {reason}")?;
        }
        match &self.stopped {
            Some(stop) => write!(out, "Stopped: {stop}."),
            None if self.is_settled() => write!(out, "All is settled."),
            None => write!(out, "Not all was taken; `--rejects FILE` lists what was refused."),
        }
    }
}
