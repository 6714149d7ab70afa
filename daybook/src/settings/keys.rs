//! Every key, once.

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
}

/// Which commands have the key as a flag. In the file and in the environment all keys are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Every command: it says where Daybook is.
    All,
    /// `serve`: it says how Daybook runs.
    Serve,
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
    Key { name, default: Some(default), value, help, reach, secrecy }
}

impl Key {
    const fn unset(self) -> Self {
        Self { default: None, ..self }
    }

    const fn everywhere(self) -> Self {
        Self { reach: Reach::All, ..self }
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
            "ADDRESS" => "an address such as 127.0.0.1:7400",
            "PORT" => "a port from 0 to 65535",
            "NUMBER" | "SECONDS" | "BYTES" => "a whole number",
            other => other,
        }
    }

    /// `data-dir`
    pub(super) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// In the order in which they are shown.
pub(super) const KEYS: &[Key] = &[
    key("data_dir", ".daybook", "FOLDER", "Where the embedded Postgres and Kafka keep their data")
        .everywhere(),
    key(
        "database_url",
        "",
        "URL",
        "A Postgres of yours, as a user who may create schemas and roles; without it one is \
         embedded. DATABASE_URL is heard too",
    )
    .unset()
    .everywhere()
    .secret(Secrecy::Password),
    key(
        "kafka_brokers",
        "",
        "HOST:PORT,…",
        "A Kafka of yours; without it one is embedded. KAFKA_BROKERS is heard too",
    )
    .unset()
    .everywhere(),
    key("topic_prefix", "", "TEXT", "What the names of topics and consumer groups begin with")
        .everywhere(),
    key(
        "log",
        "warn,daybook=info,request=info",
        "FILTER",
        "What is logged, in the words of tracing: `info`, `warn,event_store=debug`",
    )
    .everywhere(),
    key(
        "log_format",
        "text",
        "text|json",
        "How a line of the log looks: for people or for machines",
    )
    .everywhere(),
    key("listen", "127.0.0.1:7400", "ADDRESS", "Where to listen; port 0 is any free one"),
    key(
        "kafka",
        "auto",
        "auto|off",
        "Whether to embed a Kafka when none is given: `auto` does if there is a Java; with `off` \
         followers read the log alone",
    ),
    key("kafka_port", "9092", "PORT", "The port of the embedded Kafka; 0 is any free one"),
    key(
        "kafka_jars",
        "",
        "FOLDER",
        "Where Kafka's jars are; without it, where `make setup` puts them",
    )
    .unset(),
    key("partitions", "8", "NUMBER", "Partitions of a log; fixed when the log is made"),
    key("lanes", "2", "NUMBER", "Connections that append, for each log"),
    key("readers", "4", "NUMBER", "Connections that read, for each log"),
    key("followers", "8", "NUMBER", "Connections of the followers, for each service"),
    key("accept_history", "false", "true|false", "Let an import send its own prices and times"),
    key(
        "provider_url",
        "",
        "URL",
        "A payment provider that speaks Stripe's wire format; without it a sandbox inside moves \
         no money",
    )
    .unset(),
    key("provider_key", "", "KEY", "What the provider knows us by").unset().secret(Secrecy::Whole),
    key("body_limit_bytes", "1048576", "BYTES", "The longest body of a request"),
    key("request_timeout_s", "30", "SECONDS", "How long a request may take"),
    key("shutdown_s", "20", "SECONDS", "How long an orderly stop may take"),
    key(
        "settle_deadline_s",
        "900",
        "SECONDS",
        "How long an order may take to be confirmed before it is cancelled",
    ),
    key(
        "finish_deadline_s",
        "86400",
        "SECONDS",
        "How long what follows may take before a person is told",
    ),
];

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// A key that is known to be there: the settings' own fields.
pub(super) fn of(name: &'static str) -> &'static Key {
    find(name).expect("every field of the settings has a key; a test compares them")
}

/// The key that looks most like a name that is none.
pub(super) fn nearest(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase().replace('-', "_");
    most_alike(&name, KEYS.iter().map(|key| key.name))
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
