//! Message DB, from its npm package: installed by its own script, written to by its own function, with the
//! version that the stream must have.

use super::{METADATA_SQL, PAYLOAD_SQL, POOL, Peer, payload};
use crate::servers::Login;
use anyhow::{Result, ensure};
use async_trait::async_trait;
use deadpool_postgres::Pool;
use event_store::Database;
use std::path::Path;
use tokio::process::Command;
use uuid::Uuid;

/// Where `scripts/setup bench` puts it.
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/message-db/package");

const WRITE: &str = "select write_message($1::text, $2::text, $3::text, $4::text::jsonb, $5::text::jsonb, $6::bigint)";

pub struct MessageDb {
    pool: Pool,
    category_per_caller: bool,
}

impl MessageDb {
    pub async fn open(database: &Database, rows: i64, category_per_caller: bool) -> Result<Self> {
        install(database).await?;
        let pool = database.with_option("search_path=message_store").pool("message-db", POOL)?;
        let fill = format!(
            "insert into messages (position, stream_name, type, data, metadata, id) \
             select 0, 'order-' || gen_random_uuid(), 'OrderPlaced', {PAYLOAD_SQL}::jsonb, {METADATA_SQL}::jsonb, \
             gen_random_uuid() from generate_series(0, {rows} - 1) i"
        );
        pool.get().await?.batch_execute(&fill).await?;
        Ok(MessageDb { pool, category_per_caller })
    }
}

pub fn version() -> String {
    let said = std::fs::read_to_string(Path::new(PACKAGE).join("database/VERSION.txt"));
    said.map_or_else(|_| "unknown".into(), |version| version.trim().to_owned())
}

/// Its `install.sh` is told by the environment which server to use.
async fn install(database: &Database) -> Result<()> {
    let script = Path::new(PACKAGE).join("database/install.sh");
    ensure!(script.exists(), "message-db is missing in .tools: scripts/setup bench");
    let login = Login::to(database)?;
    let output = Command::new("bash")
        .arg(&script)
        .env("CREATE_DATABASE", "off")
        .env("DATABASE_NAME", login.database)
        .env("PGHOST", Login::HOST)
        .env("PGPORT", login.port.to_string())
        .env("PGUSER", login.user)
        .env("PGPASSWORD", login.password)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "message-db was not installed: {said}");
    Ok(())
}

#[async_trait]
impl Peer for MessageDb {
    async fn append(&self, caller: usize, number: u64) -> Result<()> {
        let category =
            if self.category_per_caller { format!("order{caller}") } else { "order".into() };
        let stream = format!("{category}-{}", Uuid::now_v7());
        let metadata = format!(r#"{{"correlation":"{}","actor":"bench"}}"#, Uuid::new_v4());
        let client = self.pool.get().await?;
        let write = client.prepare_cached(WRITE).await?;
        // A stream without messages is at version -1.
        let (id, none) = (Uuid::new_v4().to_string(), -1_i64);
        client
            .query_one(&write, &[&id, &stream, &"OrderPlaced", &payload(number), &metadata, &none])
            .await?;
        Ok(())
    }
}
