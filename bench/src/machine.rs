//! What the figures were measured on.

use crate::servers::Servers;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt;
use std::process::Command;

#[derive(Serialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
    pub memory_gib: f64,
    pub kernel: String,
    pub file_system: String,
    pub postgres: String,
    pub kafka: String,
    pub rustc: String,
    pub git: String,
}

/// Of the machine, in all.
pub fn memory_mib() -> Result<u64> {
    let memory = line_of("/proc/meminfo", "MemTotal");
    let kib = memory.split_whitespace().next().context("no memory is told")?;
    Ok(kib.parse::<u64>()? / 1024)
}

impl Machine {
    pub async fn look(servers: &Servers) -> Result<Self> {
        Ok(Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: line_of("/proc/cpuinfo", "model name"),
            memory_gib: (memory_mib()? as f64 / 1024.0).round(),
            kernel: said("uname", &["-sr"]),
            file_system: servers.file_system(),
            postgres: servers.postgres_version().await?,
            kafka: servers.kafka_version(),
            rustc: said("rustc", &["--version"]),
            git: said("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, cpu, memory_gib, kernel, file_system, postgres, kafka, rustc, git } =
            self;
        write!(
            f,
            "{cores} cores of {cpu}, {memory_gib} GiB of memory, {kernel}, data on {file_system}; PostgreSQL {postgres}, \
             Apache Kafka {kafka}, {rustc}; git {git}; load generator, Postgres and Kafka share the cores"
        )
    }
}

fn line_of(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with(key)).and_then(|l| l.split(':').nth(1));
    line.map_or_else(|| "unknown".into(), |value| value.trim().to_owned())
}

/// What a program says of itself.
pub fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let text = output.ok().and_then(|out| String::from_utf8(out.stdout).ok());
    text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).unwrap_or_else(|| "unknown".into())
}
