//! What the same Postgres does without an event store in front of it: the same rows by COPY, and one insert for
//! each by pgbench.

use crate::fill::{self, Offsets};
use crate::peers::{Ours, PAYLOAD_SQL, count, insert};
use crate::servers::{Login, Servers};
use anyhow::{Result, bail, ensure};
use event_store::Database;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;

/// Rows of the log, in one COPY over one connection.
pub struct Copy {
    database: Database,
    offsets: Offsets,
}

impl Copy {
    pub async fn open(servers: &Servers, name: &str, rows: i64) -> Result<Self> {
        let database = servers.database(name).await?;
        Ours::open(&database, rows).await?.0.close().await;
        database.connect("bench").await?.batch_execute("analyze").await?;
        Ok(Copy { database, offsets: Offsets::after(rows) })
    }

    /// Rows/s, its commit included.
    pub async fn run(&mut self, time: Duration) -> Result<f64> {
        fill::copy_for(&self.database, &mut self.offsets, time).await
    }
}

/// One insert for each event into the usual table, from Postgres' own load generator.
pub struct Pgbench {
    database: Database,
    program: PathBuf,
    script: tempfile::NamedTempFile,
}

impl Pgbench {
    pub async fn open(servers: &Servers, name: &str, rows: i64) -> Result<Self> {
        let database = servers.database(name).await?;
        insert::Insert::open(&database, rows).await?;
        database.connect("bench").await?.batch_execute("analyze").await?;
        let script = tempfile::NamedTempFile::new()?;
        let payload = PAYLOAD_SQL.replace("i::text", "'7'");
        let insert = format!(
            "insert into plain (stream, version, event_id, type, payload, metadata, occurred_at) \
             values ('order-' || gen_random_uuid(), 1, gen_random_uuid(), 'order.placed', {payload}::json, \
             '{{\"correlation\":\"bench\",\"actor\":\"bench\"}}', now());\n"
        );
        std::fs::write(script.path(), insert)?;
        Ok(Pgbench { database, program: pgbench(servers).await?, script })
    }

    /// Rows/s, when they have been counted.
    pub async fn run(&self, clients: usize, time: Duration) -> Result<f64> {
        let before = count(&self.database, "plain").await?;
        let login = Login::to(&self.database)?;
        let output = Command::new(&self.program)
            .args(["-n", "-M", "prepared", "-j", "2", "-h", Login::HOST])
            .args(["-p", &login.port.to_string(), "-U", &login.user])
            .args(["-c", &clients.to_string(), "-T", &time.as_secs().max(1).to_string(), "-f"])
            .arg(self.script.path())
            .arg(&login.database)
            .env("PGPASSWORD", &login.password)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout);
        let after = |words: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix(words)?.split([' ', '/']).next())
                .map(str::to_owned)
        };
        let rate = after("tps = ").and_then(|rate| rate.parse().ok());
        let inserted = after("number of transactions actually processed: ");
        let inserted: Option<i64> = inserted.and_then(|inserted| inserted.parse().ok());
        let (Some(rate), Some(inserted)) = (rate, inserted) else {
            bail!("pgbench: {said}{}", String::from_utf8_lossy(&output.stderr));
        };
        let stored = count(&self.database, "plain").await?;
        ensure!(stored == before + inserted, "{stored} rows, not {before} and {inserted}");
        Ok(rate)
    }
}

/// Of the server's own version: Debian puts it where no path leads.
async fn pgbench(servers: &Servers) -> Result<PathBuf> {
    let version = servers.postgres_version().await?;
    let major = version.split('.').next().unwrap_or_default();
    let of_debian = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/pgbench"));
    Ok(if of_debian.exists() { of_debian } else { "pgbench".into() })
}
