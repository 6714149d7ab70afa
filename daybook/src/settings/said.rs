//! What the sources said: a value and its origin for each key.

use config::{ConfigError, Map, Value, ValueKind};
use serde::de::DeserializeOwned;

use super::error::SettingsError;
use super::keys::{self, Key, Reach};
use super::{Limits, Settings, secret};

/// One key, what is in force and where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: &'static str,
    /// Secrets are masked; `None` is unset.
    pub value: Option<String>,
    /// `default`, a file, an environment variable or a flag.
    pub origin: String,
}

/// Keys that settings read later say otherwise, by name: their values may be secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Differing {
    pub(crate) taken: Vec<&'static str>,
    /// For a restart.
    pub(crate) waiting: Vec<&'static str>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Said(Map<String, Value>);

impl Said {
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    /// An empty text sets nothing where nothing is the default, so a template's line means what it
    /// says.
    pub(super) fn say(&mut self, key: &'static Key, value: Value) {
        let is_empty = matches!(&value.kind, ValueKind::String(text) if text.is_empty());
        if !(is_empty && key.default.is_none()) {
            self.0.insert(key.name.to_owned(), value);
        }
    }

    pub(super) fn say_text(&mut self, key: &'static Key, text: &str, origin: &str) {
        let origin = origin.to_owned();
        self.say(key, Value::new(Some(&origin), ValueKind::String(text.to_owned())));
    }

    pub(super) fn overruled_by(mut self, stronger: Self) -> Self {
        self.0.extend(stronger.0);
        self
    }

    /// The same, with what another says of the keys that are `live`; and which keys of those, and of the rest, it says
    /// otherwise.
    pub(super) fn taking(&self, other: &Self, live: impl Fn(&Key) -> bool) -> (Self, Differing) {
        let (mut taken, mut differing) = (self.clone(), Differing::default());
        for key in keys::all() {
            let said = |of: &Said| of.0.get(key.name).map(ToString::to_string);
            if said(self) == said(other) {
                continue;
            }
            if !live(key) {
                differing.waiting.push(key.name);
                continue;
            }
            differing.taken.push(key.name);
            match other.0.get(key.name) {
                Some(value) => drop(taken.0.insert(key.name.to_owned(), value.clone())),
                None => drop(taken.0.remove(key.name)),
            }
        }
        (taken, differing)
    }

    /// Gives the values their types; a number may have been said as text.
    pub(super) fn settings(&self) -> Result<Settings, SettingsError> {
        let mut settings: Settings = self.typed(|reach| reach != Reach::File)?;
        settings.limits = self.limits()?;
        Ok(settings)
    }

    pub(super) fn limits(&self) -> Result<Limits, SettingsError> {
        self.typed(|reach| reach == Reach::File)
    }

    fn typed<T: DeserializeOwned>(&self, of: fn(Reach) -> bool) -> Result<T, SettingsError> {
        let is = |name: &String| keys::find(name).is_some_and(|key| of(key.reach));
        let said = self.0.iter().filter(|(name, _)| is(name));
        let said = said.map(|(name, value)| (name.clone(), value.clone())).collect();
        let table = Value::new(None, ValueKind::Table(said));
        table.try_deserialize().map_err(|error| self.wrong(error))
    }

    /// A value that is a whole number.
    pub(super) fn number(&self, key: &Key) -> Option<u64> {
        self.0.get(key.name)?.clone().into_uint().ok()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        keys::all().map(|key| self.row(key))
    }

    fn row(&self, key: &'static Key) -> Row {
        let value = self.0.get(key.name);
        Row {
            key: key.name,
            origin: value.and_then(|value| value.origin()).unwrap_or("default").to_owned(),
            value: value.map(|value| secret::shown(&value.to_string(), key.secrecy)),
        }
    }

    /// The value of this key is not what it has to be.
    pub(super) fn breaks(&self, key: &'static Key, rule: &'static str) -> SettingsError {
        let Row { key, value, origin } = self.row(key);
        SettingsError::Rule { key, value: value.unwrap_or_default(), origin, rule }
    }

    /// The value of some key is not of its type.
    fn wrong(&self, error: ConfigError) -> SettingsError {
        let key = if let ConfigError::Type { key, .. } | ConfigError::At { key, .. } = &error {
            key.as_deref()
        } else {
            None
        };
        match key.and_then(keys::find) {
            Some(key) => self.breaks(key, key.expected()),
            None => SettingsError::Read(error),
        }
    }
}
