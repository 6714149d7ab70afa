//! `docs/benchmarks.md`: each bench's table and plots between markers of its own, whatever else stands there.

use crate::plot;
use crate::report::{Figure, Report, Section};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;

/// Writes the sections of this run; those of benches that did not run stay as they are.
pub fn write(docs: &Path, report: &Report) -> Result<()> {
    let path = docs.join("benchmarks.md");
    let plots = docs.join("benchmarks");
    std::fs::create_dir_all(&plots)?;
    let mut text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    for section in report.sections.iter().filter(|section| section.failed.is_none()) {
        for chart in &section.charts {
            plot::draw(chart, &plots.join(format!("{}.svg", chart.name)))?;
        }
        text = between(&text, &section.bench.to_string(), &table(report, section)?);
    }
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.canonicalize()?.display());
    Ok(())
}

/// The text with `body` between the markers of `name`; at its end, under a heading, if it has none.
fn between(text: &str, name: &str, body: &str) -> String {
    let begin = format!("<!-- begin: make bench ARGS={name} -->\n");
    let end = format!("<!-- end: make bench ARGS={name} -->\n");
    let found = text.find(&begin).zip(text.find(&end)).filter(|(from, to)| from < to);
    let (before, after) = match found {
        Some((from, to)) => (&text[..from], &text[to + end.len()..]),
        None => (text, ""),
    };
    let heading = found.map_or_else(|| format!("\n## {name}\n\n"), |_| String::new());
    format!("{before}{heading}{begin}{body}{end}{after}")
}

fn table(report: &Report, section: &Section) -> Result<String> {
    let mut text = format!("{}.\n\n", section.bench.about());
    let rows = rows(&section.figures);
    if rows.iter().any(|row| row.p50.or(row.p99).is_some()) {
        text += "| what | median | least to most | p50 | p99 | goal |\n|---|---|---|---|---|---|\n";
        for row in &rows {
            let of = |latency: Option<&Figure>| latency.map_or_else(String::new, Figure::middle);
            let latencies = format!("{} | {}", of(row.p50), of(row.p99));
            writeln!(text, "| {} | {latencies} | {} |", row.begin(), row.goal())?;
        }
    } else {
        text += "| what | median | least to most | goal |\n|---|---|---|---|\n";
        for row in &rows {
            writeln!(text, "| {} | {} |", row.begin(), row.goal())?;
        }
    }
    for chart in &section.charts {
        writeln!(text, "\n![{}](benchmarks/{}.svg)", chart.title, chart.name)?;
    }
    for note in &section.notes {
        writeln!(text, "\n{note}")?;
    }
    let Report { date, machine, command, .. } = report;
    writeln!(text, "\n`{command}`, {date} UTC, {:.0} s. {machine}.", section.took_s)?;
    Ok(text)
}

/// A rate with its latencies beside it.
struct Row<'a> {
    figure: &'a Figure,
    p50: Option<&'a Figure>,
    p99: Option<&'a Figure>,
}

fn rows(figures: &[Figure]) -> Vec<Row<'_>> {
    let named = |name: String| figures.iter().find(|figure| figure.name == name);
    let is_of_a_rate = |figure: &Figure| {
        let rate = figure.name.strip_suffix(", p50").or(figure.name.strip_suffix(", p99"));
        rate.and_then(|rate| named(rate.to_owned())).is_some()
    };
    let row = |figure| {
        let latency = |quantile| named(format!("{}, {quantile}", Figure::name(figure)));
        Row { figure, p50: latency("p50"), p99: latency("p99") }
    };
    figures.iter().filter(|figure| !is_of_a_rate(figure)).map(row).collect()
}

impl Row<'_> {
    fn begin(&self) -> String {
        format!("{} | {} | {}", self.figure.name(), self.figure.middle(), self.figure.spread())
    }

    /// Those that were missed in bold.
    fn goal(&self) -> String {
        let of = |figure: &Figure, what: &str| match figure.met {
            Some(true) => Some(format!("{what}{}", figure.verdict())),
            Some(false) => Some(format!("**{what}{}**", figure.verdict())),
            None => None,
        };
        let p99 = self.p99.and_then(|p99| of(p99, "p99 "));
        of(self.figure, "").into_iter().chain(p99).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::{between, rows};
    use crate::report::{Figure, Unit};

    #[test]
    fn what_stands_outside_the_markers_is_kept() {
        let first = between("# Figures\n", "append", "old\n");
        let second = between(&format!("{first}after\n"), "append", "new\n");
        assert_eq!(
            second,
            "# Figures\n\n## append\n\n<!-- begin: make bench ARGS=append -->\nnew\n\
             <!-- end: make bench ARGS=append -->\nafter\n"
        );
    }

    #[test]
    fn a_rate_has_its_latencies_in_its_row_and_its_missed_goals_in_bold() {
        let figures = [
            Figure::new("append", Unit::PerSecond, vec![9.0, 7.0, 8.0]).at_least(8.0),
            Figure::new("append, p99", Unit::Ms, vec![12.0]).at_most(10.0),
            Figure::new("start, p99", Unit::Ms, vec![1.0]),
        ];
        let rows = rows(&figures);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].begin(), "append | 8/s | 7/s to 9/s");
        assert_eq!(rows[0].goal(), "≥ 8/s, met; **p99 ≤ 10.00 ms, missed**");
    }
}
