//! The four places where a setting can be made, each telling where it is.

use std::ffi::OsString;
use std::path::Path;

use config::{File, FileFormat, Source, Value};

use super::error::SettingsError;
use super::flags::Flags;
use super::keys::{self, Key};
use super::said::Said;

/// Read if it is in the current folder and no other is named.
pub(super) const FILE: &str = "daybook.toml";

/// The variable of `--config`, which is no setting.
pub(super) const FILE_VARIABLE: &str = "DAYBOOK_CONFIG";

const PREFIX: &str = "DAYBOOK_";

/// Variables of the tests, which name servers that no setting means.
const OF_TESTS: &str = "DAYBOOK_TEST_";

/// Names that other programs use for the same thing. Ours is the stronger one.
const ALIASES: [(&str, &str); 2] =
    [("DATABASE_URL", "database_url"), ("KAFKA_BROKERS", "kafka_brokers")];

pub(super) fn defaults() -> Said {
    let mut said = Said::nothing();
    for key in keys::all() {
        if let Some(default) = key.default {
            said.say_text(key, default, "default");
        }
    }
    said
}

/// A TOML file of keys. What does not parse is reported with its line.
pub(super) fn file(path: &Path) -> Result<Said, SettingsError> {
    let origin = path.display().to_string();
    let unread = |source| SettingsError::File { file: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unread)?;
    // The reader below would quote the line.
    toml::from_str::<toml::Table>(&text).map_err(|error| no_toml(&origin, &text, &error))?;
    let file = File::from_str(&text, FileFormat::Toml);
    let mut said = Said::nothing();
    for (name, value) in file.collect().map_err(SettingsError::Read)? {
        let key = known(&name, &name, &origin)?;
        said.say(key, Value::new(Some(&origin), value.kind));
    }
    Ok(said)
}

fn no_toml(origin: &str, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    SettingsError::Toml { origin: origin.to_owned(), line, what: error.message().to_owned() }
}

/// `DAYBOOK_…`, and the names that other programs use. An empty variable is an unset one.
pub(super) fn environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Said, SettingsError> {
    let (mut aliases, mut ours) = (Said::nothing(), Said::nothing());
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| !is_other(name) && !value.is_empty()) else {
            continue;
        };
        let text = || value.to_str().ok_or_else(|| SettingsError::NotUnicode(name.to_owned()));
        if let Some((_, key)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            aliases.say_text(keys::of(key), text()?, name);
        } else if let Some(key) = name.strip_prefix(PREFIX) {
            ours.say_text(
                known(&key.to_ascii_lowercase(), name, "the environment")?,
                text()?,
                name,
            );
        }
    }
    Ok(aliases.overruled_by(ours))
}

fn is_other(name: &str) -> bool {
    name == FILE_VARIABLE || name.starts_with(OF_TESTS)
}

pub(super) fn flags<const EVERY: bool>(flags: &Flags<EVERY>) -> Said {
    let mut said = Said::nothing();
    for (key, value) in flags.given() {
        said.say_text(key, value, &format!("--{}", key.flag()));
    }
    said
}

fn known(name: &str, said: &str, origin: &str) -> Result<&'static Key, SettingsError> {
    let unknown = || SettingsError::UnknownKey {
        origin: origin.to_owned(),
        key: said.to_owned(),
        nearest: keys::nearest(name),
    };
    keys::find(name).ok_or_else(unknown)
}
