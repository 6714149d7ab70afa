//! What accompanies the commands that sagas send.

use event_store::dues::Claimed;
use event_store::{Envelope, Metadata, Recorded};
use uuid::Uuid;

/// For the command that a reactor makes of an event: the same id however often the event is read.
pub(crate) fn of_reaction(event: &Recorded, reactor: &str) -> Envelope {
    let metadata = Metadata {
        correlation: event.metadata.correlation.clone(),
        causation: Some(event.event_id),
        actor: reactor.to_owned(),
        traceparent: event.metadata.traceparent.clone(),
    };
    now(Uuid::new_v5(&event.event_id, reactor.as_bytes()), metadata)
}

/// For the command that a due becomes: the same id at each try.
pub(crate) fn of_request<R>(due: &Claimed<R>) -> Envelope {
    now(due.command_id, due.metadata.clone())
}

/// For the command that tells the asking stream that a request was rejected.
pub(crate) fn of_refusal<R>(due: &Claimed<R>) -> Envelope {
    now(Uuid::new_v5(&due.command_id, b"refused"), due.metadata.clone())
}

fn now(command_id: Uuid, metadata: Metadata) -> Envelope {
    let occurred_at = edge::clock::now();
    Envelope { command_id, fingerprint: None, occurred_at, metadata, expected_version: None }
}
