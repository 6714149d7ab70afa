//! Random words: a password, a folder's name, a Kafka cluster's id.

use std::fs::File;
use std::io::Read;

use super::error::{EmbeddedError, file};

const SOURCE: &str = "/dev/urandom";

/// That many random bytes as lower-case hex.
pub(super) fn hex(bytes: usize) -> Result<String, EmbeddedError> {
    Ok(random(bytes)?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A random cluster id as Kafka wants it: 16 bytes in URL-safe base64 without padding, so 22
/// characters of which the last carries two bits.
pub(super) fn cluster_id() -> Result<String, EmbeddedError> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % 52]);
    Ok(random(21)?.iter().map(letter).chain(['A']).collect())
}

fn random(bytes: usize) -> Result<Vec<u8>, EmbeddedError> {
    let mut buffer = vec![0; bytes];
    let read = File::open(SOURCE).and_then(|mut source| source.read_exact(&mut buffer));
    read.map_err(file("read", SOURCE))?;
    Ok(buffer)
}
