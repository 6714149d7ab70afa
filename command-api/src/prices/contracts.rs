//! What the price list reads of the catalogue's events, recorded for the catalogue in `docs/contracts/consumers`.

use super::follower::{LOG, changes};
use chrono::DateTime;
use domain::contract::kit;
use event_store::follow::ApplyError;
use event_store::kit::recorded;
use serde_json::json;
use std::sync::Arc;

#[test]
fn what_the_price_list_reads_of_the_catalogue_is_recorded() {
    let read = |event_type: &str, version: i32, payload: &str| {
        let stored = (event_type, version, payload.to_owned());
        let event = recorded(LOG, "product-85123A".to_owned(), stored, DateTime::UNIX_EPOCH);
        let changes = changes(&[Arc::new(event)])?;
        Ok::<_, ApplyError>((!changes.is_empty()).then(|| format!("{changes:?}")))
    };
    let reads = kit::reads(LOG, read);
    let contract = json!({ "consumer": "orders", "owner": LOG, "requests": [], "reads": reads });
    kit::is_recorded(&format!("orders-of-{LOG}"), &contract);
}
