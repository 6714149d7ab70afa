//! Processor time by kind of process, from /proc: what a figure cost, and whom.

use anyhow::Result;
use std::collections::BTreeMap;

/// Milliseconds of processor time so far, by the name of the process.
pub struct Cpu(BTreeMap<String, f64>);

/// Ticks of /proc are hundredths of a second on every Linux that runs this.
const MS_PER_TICK: f64 = 10.0;
const NAMES: [&str; 5] = ["daybook", "postgres", "java", "haproxy", "bench"];

impl Cpu {
    pub fn now() -> Result<Self> {
        let mut by_name = BTreeMap::new();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            // One that has just ended is not counted; its parent is told what it used.
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            let Some((head, rest)) = stat.rsplit_once(')') else { continue };
            let name = head.split_once('(').map_or("", |(_, name)| name);
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|it| it.parse::<f64>().ok());
            // utime, stime, cutime, cstime: proc(5).
            let used = [11, 12, 13, 14].into_iter().filter_map(ticks).sum::<f64>() * MS_PER_TICK;
            *by_name.entry(name.to_owned()).or_default() += used;
        }
        Ok(Cpu(by_name))
    }

    /// For each of so many things done since, by the name of the process; those that did nothing are left out.
    pub fn since(&self, before: &Cpu, count: f64) -> Vec<(&'static str, f64)> {
        let at = |cpu: &Cpu, name| cpu.0.get(name).copied().unwrap_or_default();
        let used = NAMES.map(|name| (name, (at(self, name) - at(before, name)) / count));
        used.into_iter().filter(|(_, ms)| *ms > 0.0).collect()
    }
}
