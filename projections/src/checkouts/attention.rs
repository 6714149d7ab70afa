//! The checkouts that wait for a person, for whoever has the database and no server to ask.

use super::LAYOUT;
use crate::query::Amount;
use crate::{Place, generation};
use chrono::{DateTime, Utc};
use event_store::StoreError;
use event_store::follow::ReadSide;
use serde::Serialize;
use uuid::Uuid;

/// A checkout that no rule can settle.
#[derive(Debug, Serialize)]
pub struct NeedsAttention {
    pub order: Uuid,
    /// `capture-failed`
    pub attention: String,
    pub since: DateTime<Utc>,
    /// What the provider or the owner of a request said.
    pub trouble: Option<String>,
    pub total: Amount,
}

/// Those that need attention, who waits longest first; how many there are in all; nothing, if no Daybook of
/// this version has posted the view yet.
///
/// # Errors
/// If the database is out of reach.
pub async fn needing_attention(
    read: &ReadSide,
    limit: i64,
) -> Result<Option<(Vec<NeedsAttention>, i64)>, StoreError> {
    let mut client = read.pool.get().await?;
    let tx = client.transaction().await?;
    let Some(live) = generation::live(&tx, &LAYOUT, read).await? else { return Ok(None) };
    let sql = Place::new(read, live).sql(include_str!("attention.sql"));
    let rows = tx.query(&sql, &[&limit]).await?;
    let all = rows.first().map_or(0, |row| row.get("all_of_them"));
    let needs = |row: &tokio_postgres::Row| NeedsAttention {
        order: row.get("order_id"),
        attention: row.get("attention"),
        since: row.get("attention_since"),
        trouble: row.get("trouble"),
        total: Amount { amount: row.get("total"), currency: row.get("currency") },
    };
    Ok(Some((rows.iter().map(needs).collect(), all)))
}
