//! What serde says of a value that is not of its type, in words for whoever sent it.

/// `invalid type: floating point 2.55, expected i64` becomes `must be a whole number`; a type's own rule stays as it is.
pub(super) fn for_people(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let (is_range, rest) = match said.strip_prefix("invalid value: integer ") {
        Some(rest) => (true, Some(rest)),
        None => (false, said.strip_prefix("invalid ").or(said.strip_prefix("unknown variant "))),
    };
    // From the right: what was sent stands before it, and may say anything.
    let Some((_, expected)) = rest.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return said;
    };
    match range(expected) {
        Some((least, most)) if is_range => {
            format!("must be a whole number from {least} to {most}")
        }
        Some(_) => "must be a whole number".to_owned(),
        None => format!("must be {}", thing(expected)),
    }
}

/// What the integers of Rust hold.
fn range(expected: &str) -> Option<(i128, i128)> {
    Some(match expected {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" => (0, u64::MAX.into()),
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        "i64" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

fn thing(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        // An enum of names.
        "string or map" | "map with a single key" => "a string",
        "a sequence" => "an array",
        "a map" => "an object",
        structure if structure.starts_with("struct ") => "an object",
        words => words,
    }
}
