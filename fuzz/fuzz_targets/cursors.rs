//! The tokens that we give out and get back: cursors of lists, and positions.

#![no_main]

use event_store::Position;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    projections::fuzzing::cursor(text);
});
