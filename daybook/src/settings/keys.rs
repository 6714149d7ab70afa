//! Every key, once.

mod service;
mod access;
mod tls;
mod requests;
mod append;
mod postgres;
mod kafka;
mod follow;
mod dues;
mod apart;
mod peers;
mod reload;

/// One setting.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// As it would stand in the environment; `None` is unset.
    pub(super) default: Option<&'static str>,
    /// What the value is, for the help.
    pub(super) value: &'static str,
    pub(super) help: &'static str,
    pub(super) reach: Reach,
    pub(super) secrecy: Secrecy,
    /// Of a bound: where to see how near one is to it.
    pub(super) metric: Option<&'static str>,
    /// It may change while the process runs.
    pub(super) live: bool,
}

/// Which commands have the key as a flag. In the file and in the environment all keys are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Every command: it says where Daybook is.
    All,
    /// `serve`: it says how Daybook runs.
    Serve,
    /// None: a bound that is seldom changed, in the file or the environment.
    File,
}

/// What must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    Open,
    /// The password in a URL.
    Password,
    Whole,
}

/// A key with its default, for every command; the functions below say what differs.
const fn key(
    name: &'static str,
    default: &'static str,
    value: &'static str,
    help: &'static str,
) -> Key {
    let (reach, secrecy) = (Reach::Serve, Secrecy::Open);
    Key { name, default: Some(default), value, help, reach, secrecy, metric: None, live: false }
}

/// A bound with its default, which is no flag, and where to see how near one is to it.
const fn bound(
    name: &'static str,
    default: &'static str,
    value: &'static str,
    help: &'static str,
    metric: &'static str,
) -> Key {
    Key { reach: Reach::File, ..key(name, default, value, help).bound(metric) }
}

impl Key {
    const fn unset(self) -> Self {
        Self { default: None, ..self }
    }

    const fn everywhere(self) -> Self {
        Self { reach: Reach::All, ..self }
    }

    const fn bound(self, metric: &'static str) -> Self {
        Self { metric: Some(metric), ..self }
    }

    const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    const fn secret(self, secrecy: Secrecy) -> Self {
        Self { secrecy, ..self }
    }

    /// `DAYBOOK_DATA_DIR`
    pub(super) fn variable(&self) -> String {
        format!("DAYBOOK_{}", self.name.to_ascii_uppercase())
    }

    /// What a value that does not fit should have been.
    pub(super) fn expected(&self) -> &'static str {
        match self.value {
            _ if self.reach == Reach::File => self.most().1,
            "ADDRESS" => "an address such as 127.0.0.1:7400",
            "PORT" => "a port from 0 to 65535",
            "NUMBER" | "SECONDS" | "MILLISECONDS" | "BYTES" => "a whole number",
            other => other,
        }
    }

    /// Of a bound: the most that makes sense, and what else is told. Times are added to a clock, which has an end,
    /// and queues are made of memory.
    pub(super) fn most(&self) -> (u64, &'static str) {
        match self.value {
            "SECONDS" => (86_400, "a whole number from 1 to 86400, which is a day"),
            "MILLISECONDS" => (86_400_000, "a whole number from 1 to 86400000, which is a day"),
            "BYTES" => (1 << 40, "a whole number from 1 to 1099511627776, which is a TiB"),
            _ => (1_000_000, "a whole number from 1 to 1000000"),
        }
    }

    /// `data-dir`
    pub(super) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// In the order in which they are shown.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    [
        service::KEYS,
        tls::KEYS,
        apart::KEYS,
        access::KEYS,
        requests::KEYS,
        append::KEYS,
        postgres::KEYS,
        kafka::KEYS,
        follow::KEYS,
        dues::KEYS,
        peers::KEYS,
        reload::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// Those that are bounds, in the file or the environment alone.
pub(super) fn bounds() -> impl Iterator<Item = &'static Key> {
    all().filter(|key| key.reach == Reach::File)
}

pub(super) fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// A key that is known to be there: the settings' own fields.
pub(super) fn of(name: &'static str) -> &'static Key {
    find(name).expect("every field of the settings has a key; a test compares them")
}

/// The key that looks most like a name that is none.
pub(super) fn nearest(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase().replace('-', "_");
    most_alike(&name, all().map(|key| key.name))
}

/// The one of these that looks most like a name that is none of them.
pub(crate) fn most_alike(
    name: &str,
    among: impl IntoIterator<Item = &'static str>,
) -> &'static str {
    let alike = |known: &&str| (strsim::jaro_winkler(name, known) * 1e6) as u32;
    among.into_iter().max_by_key(alike).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_near_to_what_was_meant() {
        for (typed, meant) in [
            ("lissten", "listen"),
            ("data-dir", "data_dir"),
            ("KAFKA_BROKER", "kafka_brokers"),
            ("datbase_url", "database_url"),
            ("partition", "partitions"),
        ] {
            assert_eq!(nearest(typed), meant);
        }
    }
}
