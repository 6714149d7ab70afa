//! What a person, or another program, is told while a read model is posted again.

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use projections::{Compared, Phase, Progress, RebuildError, Tell, Unit};
use serde_json::json;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A bar; plain lines where there is no terminal, and JSON lines where they were asked for.
pub(in crate::cli) struct Telling {
    bar: ProgressBar,
    lines: Option<Arc<Lines>>,
}

struct Lines {
    json: bool,
    told: Mutex<(Instant, Option<Phase>)>,
}

const LINE_EVERY: Duration = Duration::from_secs(2);

impl Telling {
    pub(in crate::cli) fn new(name: &'static str, json: bool) -> Self {
        let is_terminal = io::stderr().is_terminal() && !json;
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        bar.set_prefix(name);
        let told = Mutex::new((Instant::now(), None));
        Telling { bar, lines: (!is_terminal).then(|| Arc::new(Lines { json, told })) }
    }

    pub(in crate::cli) fn tell(&self) -> Tell {
        let (bar, lines) = (self.bar.clone(), self.lines.clone());
        Arc::new(move |at: Progress| {
            if bar.message() != what(&at) {
                bar.set_style(style(at.of));
            }
            bar.set_length(at.total);
            bar.set_position(at.done);
            bar.set_message(what(&at));
            if let Some(lines) = &lines {
                lines.tell(&at);
            }
        })
    }

    /// Of a count whose end nobody knows, of what a service has so many of.
    pub(in crate::cli) fn counting(
        &self,
        service: &str,
        of: &'static str,
    ) -> impl Fn(u64) + Sync + use<> {
        let (bar, lines) = (self.bar.clone(), self.lines.clone());
        let counted = format!("{service}: the {}", bar.prefix());
        let progress = json!({"service": service, "of": bar.prefix()});
        bar.set_style(
            ProgressStyle::with_template("{prefix:14} {human_pos}, {per_sec}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        let (began, told) = (Instant::now(), Mutex::new(None::<Instant>));
        let tell = move |done| {
            bar.set_position(done);
            let Some(lines) = &lines else { return };
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.is_some_and(|when| when.elapsed() < LINE_EVERY) {
                return;
            }
            *told = Some(Instant::now());
            let rate = done as f64 / began.elapsed().as_secs_f64().max(1e-9);
            if lines.json {
                let mut progress = progress.clone();
                progress["done"] = json!(done);
                progress["rate"] = json!(rate);
                println!("{}", json!({"progress": progress}));
                return;
            }
            let (done, rate) = (HumanCount(done), HumanCount(rate as u64));
            eprintln!("{counted}, {done} {of}, {rate}/s");
        };
        // Before the first page is there.
        tell(0);
        tell
    }

    pub(in crate::cli) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(of: Unit) -> ProgressStyle {
    let template =
        "{prefix:14} {msg:12} [{bar:40}] {human_pos}/{human_len} {of}, {per_sec}, {eta} left";
    let template = template.replace("{of}", plural(of));
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn plural(of: Unit) -> &'static str {
    match of {
        Unit::Events => "events",
        Unit::Pages => "pages",
    }
}

fn what(at: &Progress) -> String {
    if let Some(why) = &at.waits {
        return format!("waiting: {why}");
    }
    let what = match at.phase {
        _ if at.stands_back => "standing back",
        Phase::Filling => "filling",
        Phase::Indexing => "indexing",
        Phase::CatchingUp => "catching up",
        Phase::Verifying => "verifying",
        Phase::Replaying => "replaying",
        Phase::Live => "live",
    };
    what.to_owned()
}

impl Lines {
    /// One for each phase, and then one every few seconds.
    fn tell(&self, at: &Progress) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (when, phase) = *told;
        if phase == Some(at.phase) && when.elapsed() < LINE_EVERY {
            return;
        }
        *told = (Instant::now(), Some(at.phase));
        if self.json {
            println!("{}", json!({"progress": at}));
            return;
        }
        let (done, total) = (HumanCount(at.done), HumanCount(at.total));
        let of = plural(at.of);
        let so_far = format!("{}: {}, {done} of {total} {of}", at.projection, what(at));
        let Some(left_s) = at.left_s else { return eprintln!("{so_far}") };
        let left = HumanDuration(Duration::try_from_secs_f64(left_s).unwrap_or(Duration::MAX));
        eprintln!("{so_far}, {}/s, {left} left", HumanCount(at.rate as u64));
    }
}

/// The rows that differ, for a person: a line or more for each.
pub(in crate::cli) fn differences(compared: &Compared) -> String {
    let mut text = String::new();
    for (table, row) in compared.differences() {
        let _ = write!(text, "\n    {table}: {row}");
    }
    for table in &compared.tables {
        let more = table.differing - table.differences.len() as i64;
        if more > 0 {
            let _ = write!(text, "\n    {}: and {more} more", table.table);
        }
        for (columns, whose) in [(&table.only_live, "live"), (&table.only_replayed, "replayed")] {
            if !columns.is_empty() {
                let columns = columns.join(", ");
                let _ = write!(text, "\n    {}: only the {whose} rows have {columns}", table.table);
            }
        }
        if let Some(why) = table.left_out {
            let _ = write!(text, "\n    {}: not compared: {why}", table.table);
        }
    }
    text
}

/// An error with what led to it.
pub(in crate::cli) fn named(error: &RebuildError) -> String {
    let sources = std::iter::successors(error.source(), |&source| source.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use projections::ComparedTable;

    #[test]
    fn a_column_that_one_side_alone_has_is_named() {
        let table = ComparedTable {
            table: "stock",
            rows: 3,
            differing: 0,
            differences: Vec::new(),
            left_out: None,
            only_live: vec!["old".to_owned()],
            only_replayed: vec!["low".to_owned(), "lower".to_owned()],
        };
        let told = differences(&Compared { tables: vec![table], parked: Vec::new() });
        let lines = "\n    stock: only the live rows have old\n    stock: only the replayed rows have low, lower";
        assert_eq!(told, lines);
    }
}
