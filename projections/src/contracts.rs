//! What read models read of the events of other services, recorded for these in `docs/contracts/consumers`. They hold their
//! schemas against it.

use chrono::DateTime;
use domain::contract::kit;
use domain::payments::payment;
use event_store::follow::ApplyError;
use event_store::kit::recorded as as_recorded;
use serde_json::json;
use uuid::Uuid;

#[test]
fn what_read_models_read_of_other_services_is_recorded() {
    let mut recorded = Vec::new();
    for projection in crate::all() {
        let layout = projection.layout();
        for owner in layout.logs.iter().copied().filter(|log| *log != layout.service) {
            let read = |event_type: &str, version: i32, payload: &str| {
                let stream = payment::stream(Uuid::from_u128(1).into());
                let stored = (event_type, version, payload.to_owned());
                let event = as_recorded(owner, stream, stored, DateTime::UNIX_EPOCH);
                let read = match (layout.name, owner) {
                    ("orders", "payments") => crate::orders::paid(&event)?,
                    (view, owner) => panic!("say what {view} reads of {owner}"),
                };
                Ok::<_, ApplyError>(read.map(|read| format!("{read:?}")))
            };
            let (consumer, reads) = (layout.service, kit::reads(owner, read));
            let contract =
                json!({ "consumer": consumer, "owner": owner, "requests": [], "reads": reads });
            let name = format!("{consumer}-of-{owner}");
            assert!(!recorded.contains(&name), "two read models of {consumer} read {owner}");
            kit::is_recorded(&name, &contract);
            recorded.push(name);
        }
    }
    assert!(!recorded.is_empty());
}
