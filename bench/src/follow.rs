//! Followers: how soon one sees what was appended, with Kafka between and without, and how fast one posts the orders
//! that people look for.

mod seen;
mod view;

use crate::bench::Bench;
use anyhow::Result;

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    seen::run(bench).await?;
    view::run(bench).await
}
