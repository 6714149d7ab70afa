//! What a person sees while an import runs: two bars, or plain lines where there is no terminal.

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::plan::Plan;

const PLAIN_LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    sent: ProgressBar,
    settled: ProgressBar,
    /// When the last plain line was printed; `None` where there is a terminal.
    plain: Option<Mutex<Instant>>,
}

impl Progress {
    pub(super) fn new(plan: &Plan) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let style = ProgressStyle::with_template(
            "{prefix:>15} {wide_bar} {human_pos}/{human_len} {elapsed} {msg}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |name: &'static str, length: usize| {
            let bar = ProgressBar::new(length as u64).with_style(style.clone());
            bars.add(bar.with_prefix(name))
        };
        let pieces: usize = plan.receipts.iter().map(|receipt| receipt.pieces().count()).sum();
        // Each order is two commands: it is placed, and it is shipped.
        let commands =
            plan.products.len() + pieces + plan.adjustments.len() + 2 * plan.orders.len();
        let (sent, settled) =
            (bar("commands sent", commands), bar("orders settled", plan.orders.len()));
        // Both are there from the beginning, though orders settle late.
        sent.tick();
        settled.tick();
        Self { sent, settled, plain: (!is_terminal).then(|| Mutex::new(Instant::now())) }
    }

    pub(super) fn sent(&self) {
        self.sent.inc(1);
        self.plain_line("");
    }

    pub(super) fn settled(&self) {
        self.settled.inc(1);
        self.plain_line("");
    }

    /// A command that is not to be sent after all: a cancelled order is not shipped.
    pub(super) fn spared(&self) {
        self.sent.dec_length(1);
    }

    /// Daybook cannot answer now. The first of such news is worth a line at once.
    pub(super) fn waits(&self, why: &str) {
        if self.sent.message().is_empty() && self.plain.is_some() {
            eprintln!("waiting: {why}");
        }
        self.sent.set_message(format!("waiting: {why}"));
        self.plain_line(&format!(", waiting: {why}"));
    }

    pub(super) fn moves(&self) {
        if !self.sent.message().is_empty() {
            self.sent.set_message("");
        }
    }

    pub(super) fn finish(&self) {
        self.sent.abandon();
        self.settled.abandon();
    }

    fn plain_line(&self, note: &str) {
        let Some(last) = &self.plain else { return };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= PLAIN_LINE_EVERY {
            *last = Instant::now();
            let count = |bar: &ProgressBar| {
                format!("{} of {}", bar.position(), bar.length().unwrap_or_default())
            };
            let (sent, settled) = (count(&self.sent), count(&self.settled));
            eprintln!("commands sent: {sent}, orders settled: {settled}{note}");
        }
    }
}
