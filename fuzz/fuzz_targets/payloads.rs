//! A stored payload, of whatever type and version: it is refused, or is written again as what it was read as.

#![no_main]

use decider::Event;
use domain::{catalogue, checkout, inventory, orders, payments};
use event_store::current;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn read<E: Event>(event_type: &str, version: i32, payload: &str) {
    let Ok((now, current_payload)) = current::<E>(event_type, version, payload) else { return };
    if now == version {
        // It is passed on as it is, so it must be read by whoever follows.
        let tagged = format!("{{\"{event_type}\":{current_payload}}}");
        let Ok(event) = serde_json::from_str::<E>(&tagged) else { return };
        let written = serde_json::to_value(&event).expect("an event is JSON");
        let again: E = serde_json::from_value(written.clone()).expect("what we write we read");
        assert_eq!(serde_json::to_value(&again).expect("an event is JSON"), written);
    } else {
        serde_json::from_str::<Value>(&current_payload).expect("an upcaster writes JSON");
        current::<E>(event_type, now, &current_payload).expect("and in the version that it says");
    }
}

// `type`, a space, the version as a digit, a line feed, the payload.
fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((head, payload)) = text.split_once('\n') else { return };
    let Some((event_type, version)) = head.split_once(' ') else { return };
    let Ok(version) = version.parse() else { return };
    read::<catalogue::product::Event>(event_type, version, payload);
    read::<inventory::stock::Event>(event_type, version, payload);
    read::<orders::order::Event>(event_type, version, payload);
    read::<payments::payment::Event>(event_type, version, payload);
    read::<checkout::checkout::Event>(event_type, version, payload);
});
