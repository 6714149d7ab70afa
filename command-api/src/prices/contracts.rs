//! What the price list reads of the catalogue's events, recorded for the catalogue in `docs/contracts/consumers`.

use super::follower::{LOG, changes};
use chrono::DateTime;
use domain::contract::kit;
use event_store::{Metadata, Recorded, follow::ApplyError};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

#[test]
fn what_the_price_list_reads_of_the_catalogue_is_recorded() {
    let read = |event_type: &str, version: i32, payload: &str| {
        let changes = changes(&[Arc::new(event(event_type, version, payload))])?;
        Ok::<_, ApplyError>((!changes.is_empty()).then(|| format!("{changes:?}")))
    };
    let reads = kit::reads(LOG, read);
    let contract = json!({ "consumer": "orders", "owner": LOG, "requests": [], "reads": reads });
    kit::is_recorded(&format!("orders-of-{LOG}"), &contract);
}

fn event(event_type: &str, schema_version: i32, payload: &str) -> Recorded {
    Recorded {
        service: LOG.into(),
        partition: 0,
        epoch: 1,
        offset: 0,
        stream: "product-85123A".to_owned(),
        version: 1,
        event_id: Uuid::nil(),
        command_id: Uuid::nil(),
        ordinal: 0,
        event_type: event_type.to_owned(),
        schema_version,
        payload: payload.to_owned(),
        metadata: Metadata::default(),
        occurred_at: DateTime::UNIX_EPOCH,
        recorded_at: DateTime::UNIX_EPOCH,
    }
}
