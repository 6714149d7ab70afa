//! The body of a request: what is read of it is read again to the same, whatever else was sent.

#![no_main]

use axum::extract::FromRequest;
use edge::JsonBody;
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;

fn body(bytes: &[u8]) -> Option<JsonBody> {
    let request = http::Request::post("/v1/orders").header("content-type", "application/json");
    let request = request.body(axum::body::Body::from(bytes.to_vec())).expect("it is whole");
    // A body that is in memory is there at once.
    JsonBody::from_request(request, &()).now_or_never().expect("nothing waits").ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some(read) = body(bytes) else { return };
    let fingerprint = read.fingerprint();
    assert_eq!(body(bytes).expect("it was read before").fingerprint(), fingerprint);
    if let Ok(command) = command_api::fuzzing::order(read) {
        let stored = serde_json::to_string(&command).expect("a command is JSON");
        let again = serde_json::from_str(&stored).expect("it reads back");
        assert_eq!(command, again, "{stored}");
    }
});
