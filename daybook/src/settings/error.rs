//! What is wrong with the settings, and where it was said.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    #[error(
        "{origin}: there is no key `{key}`; the nearest is `{nearest}` (`daybook config` lists all)"
    )]
    UnknownKey { origin: String, key: String, nearest: &'static str },

    #[error("{0}: the value is not Unicode")]
    NotUnicode(String),

    #[error("{} cannot be read: {source}", file.display())]
    File { file: PathBuf, source: io::Error },

    /// Of the text nothing is told: a secret may stand in that line.
    #[error("{origin}: line {line} is no TOML: {what}")]
    Toml { origin: String, line: usize, what: String },

    #[error("the settings cannot be read: {0}")]
    Read(config::ConfigError),

    #[error("{origin}: `{key}` is {value:?}, and must be {rule}")]
    Rule { key: &'static str, value: String, origin: String, rule: &'static str },
}
