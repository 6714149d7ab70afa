use async_trait::async_trait;
use deadpool_postgres::Transaction;
use domain::{
    catalogue::product::{self, Event},
    values::{Money, Sku},
};
use event_store::{
    Recorded,
    follow::{ApplyError, Follower},
};
use std::{collections::BTreeMap, sync::Arc};

pub(super) const LOG: &str = "catalogue";

/// Posts the price list from the catalogue's log.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriceFollower;

/// What a batch does to one product.
#[derive(Debug, Default)]
pub(super) struct Change {
    price: Option<Money>,
    discontinued: bool,
}

impl PriceFollower {
    pub const NAME: &'static str = "orders-prices";
    /// There is one; a wrong price list is emptied and read again.
    pub const GENERATION: i32 = 1;
}

#[async_trait]
impl Follower for PriceFollower {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn logs(&self) -> Vec<String> {
        vec![LOG.to_owned()]
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        let changes = changes(batch)?;
        if changes.is_empty() {
            return Ok(());
        }
        let skus: Vec<_> = changes.keys().map(Sku::as_str).collect();
        let prices = || changes.values().map(|change| change.price);
        let amounts: Vec<_> = prices().map(|price| price.map(Money::amount)).collect();
        let currencies: Vec<_> =
            prices().map(|price| price.map(|price| price.currency().as_str())).collect();
        let discontinued: Vec<_> = changes.values().map(|change| change.discontinued).collect();
        let post = tx.prepare_cached(include_str!("post.sql")).await?;
        tx.execute(&post, &[&skus, &amounts, &currencies, &discontinued]).await?;
        Ok(())
    }
}

/// A product that was discontinued stays so, so the last event says it all but for the price.
pub(super) fn changes(batch: &[Arc<Recorded>]) -> Result<BTreeMap<Sku, Change>, ApplyError> {
    let mut changes: BTreeMap<Sku, Change> = BTreeMap::new();
    for recorded in batch {
        let sku = product::id_of(&recorded.stream).ok_or_else(|| {
            ApplyError::Poison(format!("`{}` is no product's stream", recorded.stream))
        })?;
        match recorded.decode::<Event>()? {
            Event::Listed { price, .. } | Event::Repriced { price } => {
                changes.entry(sku).or_default().price = Some(price);
            }
            Event::Discontinued {} => changes.entry(sku).or_default().discontinued = true,
            Event::Renamed { .. } => {}
        }
    }
    Ok(changes)
}
