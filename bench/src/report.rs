//! The figures of a run: as lines on the terminal while it goes on, as JSON for other programs afterwards.

use crate::bench::Name;
use crate::machine::Machine;
use crate::servers::Servers;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt;
use std::path::Path;

#[derive(Serialize)]
pub struct Report {
    /// `2026-11-21-201530`, UTC.
    pub date: String,
    pub quick: bool,
    pub command: String,
    pub machine: Machine,
    pub sections: Vec<Section>,
}

impl Report {
    pub async fn begin(servers: &Servers, quick: bool) -> Result<Self> {
        let date = chrono::Utc::now().format("%Y-%m-%d-%H%M%S").to_string();
        let asked: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("make bench ARGS='{}'", asked.join(" "));
        let command = command.replace(" ARGS=''", "");
        let machine = Machine::look(servers).await?;
        Ok(Report { date, quick, command, machine, sections: Vec::new() })
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let quick = if self.quick { "-quick" } else { "" };
        let path = folder.join(format!("{}{quick}.json", self.date));
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("\n{}", path.canonicalize()?.display());
        Ok(())
    }
}

/// What one bench found.
#[derive(Serialize)]
pub struct Section {
    pub bench: Name,
    pub took_s: f64,
    pub figures: Vec<Figure>,
    pub charts: Vec<Chart>,
    /// What a reader of the figures should know.
    pub notes: Vec<String>,
    pub failed: Option<String>,
}

impl Section {
    pub fn of(bench: Name) -> Self {
        let (figures, charts, notes) = (Vec::new(), Vec::new(), Vec::new());
        Section { bench, took_s: 0.0, figures, charts, notes, failed: None }
    }

    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("  {note}");
        self.notes.push(note);
    }

    /// Prints it and keeps it.
    pub fn add(&mut self, figure: Figure) {
        println!("  {figure}");
        self.figures.push(figure);
    }

    /// The point of a line in a chart, which is made with its first point.
    pub fn point(&mut self, chart: Chart, line: &str, point: (f64, f64)) {
        let at = self.charts.iter().position(|c| c.name == chart.name).unwrap_or_else(|| {
            self.charts.push(chart);
            self.charts.len() - 1
        });
        let lines = &mut self.charts[at].lines;
        match lines.iter_mut().find(|l| l.name == line) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: line.into(), points: vec![point] }),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    #[serde(rename = "/s")]
    PerSecond,
    #[serde(rename = "ms")]
    Ms,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "MiB")]
    Mib,
    #[serde(rename = "times")]
    Times,
    #[serde(rename = "%")]
    Percent,
    #[serde(rename = "")]
    Count,
}

impl Unit {
    /// As a person reads it, with its unit.
    pub fn of(self, value: f64) -> String {
        match self {
            Unit::PerSecond => format!("{}/s", thousands(value)),
            Unit::Ms if value < 100.0 => format!("{value:.2} ms"),
            Unit::Ms => format!("{} ms", thousands(value)),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Mib => format!("{value:.0} MiB"),
            Unit::Times => format!("{value:.2} ×"),
            Unit::Percent => format!("{value:.1} %"),
            Unit::Count => thousands(value),
        }
    }

    fn better(self) -> Better {
        match self {
            Unit::PerSecond | Unit::Times => Better::More,
            Unit::Ms | Unit::Seconds | Unit::Mib | Unit::Percent | Unit::Count => Better::Less,
        }
    }
}

/// `12,345`
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    More,
    Less,
}

/// What was measured, several times.
#[derive(Serialize)]
pub struct Figure {
    /// The same in every run: two runs are compared by it.
    pub name: String,
    pub unit: Unit,
    pub better: Better,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// In the order in which they were measured.
    pub rounds: Vec<f64>,
    pub goal: Option<f64>,
    pub met: Option<bool>,
}

impl Figure {
    /// # Panics
    /// If there was no round.
    pub fn new(name: impl Into<String>, unit: Unit, rounds: Vec<f64>) -> Self {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        let (name, median) = (name.into(), median(&rounds));
        let better = unit.better();
        Figure { name, unit, better, median, min, max, rounds, goal: None, met: None }
    }

    /// Of the same rounds, one divided by the other: contestants took turns.
    pub fn ratio(name: impl Into<String>, ours: &[f64], theirs: &[f64]) -> Self {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        Self::new(name, Unit::Times, ratios)
    }

    pub fn at_least(self, goal: f64) -> Self {
        let met = Some(self.median >= goal);
        Figure { better: Better::More, goal: Some(goal), met, ..self }
    }

    pub fn at_most(self, goal: f64) -> Self {
        let met = Some(self.median <= goal);
        Figure { better: Better::Less, goal: Some(goal), met, ..self }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The median, with its unit.
    pub fn middle(&self) -> String {
        self.unit.of(self.median)
    }

    /// `≥ 4.00 ×, met`; nothing without a goal.
    pub fn verdict(&self) -> String {
        let Some(goal) = self.goal else { return String::new() };
        let sign = match self.better {
            Better::More => "≥",
            Better::Less => "≤",
        };
        let met = if self.met == Some(true) { "met" } else { "missed" };
        format!("{sign} {}, {met}", self.unit.of(goal))
    }

    /// The least and the most; nothing after a single round.
    pub fn spread(&self) -> String {
        match self.rounds.len() {
            1 => String::new(),
            _ => format!("{} to {}", self.unit.of(self.min), self.unit.of(self.max)),
        }
    }
}

pub fn median(rounds: &[f64]) -> f64 {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, middle, spread) = (&self.name, self.middle(), self.spread());
        let line = format!("{name:62} {middle:>14}   {spread:28} {}", self.verdict());
        f.write_str(line.trim_end())
    }
}

/// Lines over one axis.
#[derive(Clone, Serialize)]
pub struct Chart {
    /// Of its file.
    pub name: &'static str,
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub lines: Vec<Line>,
}

impl Chart {
    pub const fn new(
        name: &'static str,
        title: &'static str,
        x: &'static str,
        y: &'static str,
    ) -> Self {
        Chart { name, title, x, y, lines: Vec::new() }
    }
}

#[derive(Clone, Serialize)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}
