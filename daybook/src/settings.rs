//! What Daybook is told: defaults < `daybook.toml` < environment < flags.
//!
//! Every key stands once, in [`keys`]: its name, its default and what it means. Flags, environment
//! variables, the template of a file and the table of `daybook config` are made from that. A key
//! that is not there is an error wherever it is met, for a setting that is silently ignored is
//! believed.

mod error;
mod flags;
mod kafka;
mod keys;
mod limits;
mod part;
mod rates;
mod said;
mod secret;
mod source;
mod template;
mod tls;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge::telemetry::LogFormat;
use edge::{Origins, Proxies};
use event_store::kafka::Mechanism;
use serde::Deserialize;

pub use error::SettingsError;
pub use flags::{Flags, ReachFlags, ServeFlags};
pub(crate) use keys::most_alike;
pub use limits::Limits;
pub(crate) use said::Differing;
pub use said::Row;
pub use secret::Secret;
pub use template::{limits, template};
pub use tls::LineError;

use crate::embedded::{EmbeddedSettings, KafkaChoice};
use keys::Key;
use said::Said;

/// The settings in force. The fields are the keys; what they mean is said in [`keys`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub auth: AuthMode,
    pub auth_issuer: String,
    pub auth_audience: String,
    pub auth_keys_file: Option<PathBuf>,
    pub auth_api_keys_file: Option<PathBuf>,
    pub auth_issuers_file: Option<PathBuf>,
    pub token: Option<Secret>,
    pub data_dir: PathBuf,
    pub database_url: Option<Secret>,
    pub kafka_brokers: Option<String>,
    pub topic_prefix: String,
    pub log: String,
    pub log_format: LogFormat,
    pub listen: SocketAddr,
    pub role: String,
    pub service: String,
    pub catalogue_database_url: Option<Secret>,
    pub orders_database_url: Option<Secret>,
    pub inventory_database_url: Option<Secret>,
    pub payments_database_url: Option<Secret>,
    pub checkout_database_url: Option<Secret>,
    pub catalogue_url: Option<String>,
    pub orders_url: Option<String>,
    pub inventory_url: Option<String>,
    pub payments_url: Option<String>,
    pub checkout_url: Option<String>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_client_ca: Option<PathBuf>,
    pub peers_ca: Option<PathBuf>,
    pub database_ca: Option<PathBuf>,
    pub kafka_ca: Option<PathBuf>,
    pub kafka_cert: Option<PathBuf>,
    pub kafka_key: Option<PathBuf>,
    pub kafka_user: Option<String>,
    pub kafka_password: Option<Secret>,
    pub kafka_password_file: Option<PathBuf>,
    pub kafka_mechanism: Mechanism,
    pub kafka: KafkaMode,
    pub kafka_port: u16,
    pub kafka_jars: Option<PathBuf>,
    pub partitions: u32,
    pub lanes: usize,
    pub readers: usize,
    pub followers: usize,
    pub shortcut: bool,
    pub accept_history: bool,
    pub provider_url: Option<String>,
    pub provider_key: Option<Secret>,
    pub provider_key_file: Option<PathBuf>,
    pub cors_origins: Option<String>,
    pub compress_from_bytes: u64,
    pub trusted_proxies: Option<String>,
    pub commands_per_s: u32,
    pub commands_burst: u32,
    pub queries_per_s: u32,
    pub queries_burst: u32,
    pub logs_per_s: u32,
    pub logs_burst: u32,
    pub route_limits: Option<String>,
    pub body_limit_bytes: usize,
    pub request_timeout_s: u64,
    pub shutdown_s: u64,
    pub settle_deadline_s: u32,
    pub finish_deadline_s: u32,
    #[serde(skip)]
    pub limits: Limits,
}

/// Whether a Kafka is embedded when none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KafkaMode {
    /// If there is a Java and Kafka's jars.
    Auto,
    Off,
}

/// Whether callers are asked who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// Everywhere but on loopback.
    Auto,
    On,
    Off,
}

impl Settings {
    /// What the embedded servers are started with.
    pub fn embedded(&self) -> EmbeddedSettings {
        let kafka = match (&self.kafka_brokers, self.kafka) {
            (Some(brokers), _) => KafkaChoice::Yours(brokers.clone()),
            (None, KafkaMode::Off) => KafkaChoice::Off,
            (None, KafkaMode::Auto) => {
                KafkaChoice::Embedded { port: self.kafka_port, jars: self.kafka_jars.clone() }
            }
        };
        EmbeddedSettings {
            data_dir: self.data_dir.clone(),
            database_url: self.yours().map(str::to_owned),
            kafka,
        }
    }

    /// What the payment provider knows us by, if that is said.
    ///
    /// # Errors
    /// If it stands in a file that cannot be read, or in which there is nothing.
    pub fn provider_key(&self) -> anyhow::Result<Option<String>> {
        let file = self.provider_key_file.as_deref();
        let in_file = file.map(|file| secret::secret_in("provider_key_file", file)).transpose()?;
        Ok(in_file.or_else(|| self.provider_key.as_ref().map(|key| key.expose().to_owned())))
    }

    /// Whose pages may call.
    pub fn origins(&self) -> Origins {
        let origins = self.cors_origins.as_deref().map(str::parse).transpose();
        origins.ok().flatten().unwrap_or_default()
    }

    /// The proxies that are believed.
    pub fn proxies(&self) -> Proxies {
        let proxies = self.trusted_proxies.as_deref().map(str::parse).transpose();
        proxies.ok().flatten().unwrap_or_default()
    }

    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }

    pub fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_s)
    }
}

/// The settings in force, and where each of them came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    said: Said,
}

impl Loaded {
    /// Reads what this process was told: the file named by the flags, else `daybook.toml` in the
    /// current folder if there is one, the environment and the flags.
    pub fn of_this_process<const EVERY: bool>(flags: &Flags<EVERY>) -> Result<Self, SettingsError> {
        let file = flags.file();
        let is_read = flags.names_a_file() || file.exists();
        Self::from(is_read.then_some(file), std::env::vars_os(), flags)
    }

    /// The same, with what settings that were read later say of what may change while the process runs; and of which keys
    /// they say something else.
    pub(crate) fn taking(&self, later: &Self) -> Result<(Self, Differing), SettingsError> {
        // A door that speaks in clear cannot begin to speak TLS, nor the other way round.
        let same_door = self.settings.tls_cert.is_some() == later.settings.tls_cert.is_some();
        let of_door = ["tls_cert", "tls_key", "tls_client_ca"];
        let is_live = |key: &Key| key.live && (same_door || !of_door.contains(&key.name));
        let (said, differing) = self.said.taking(&later.said, is_live);
        Ok((Self { settings: said.settings()?, said }, differing))
    }

    /// The same from a given file and environment.
    pub fn from<const EVERY: bool>(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &Flags<EVERY>,
    ) -> Result<Self, SettingsError> {
        let file = file.map(source::file).transpose()?.unwrap_or_default();
        let weaker = source::defaults().overruled_by(file);
        let said = weaker
            .overruled_by(source::environment(environment)?)
            .overruled_by(source::flags(flags));
        let loaded = Self { settings: said.settings()?, said };
        loaded.check()?;
        Ok(loaded)
    }

    /// Every key with its value and its origin, in the order of the documentation.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.said.rows()
    }

    /// What a type cannot say.
    fn check(&self) -> Result<(), SettingsError> {
        let settings = &self.settings;
        self.must("partitions", (1..=1024).contains(&settings.partitions), "from 1 to 1024")?;
        self.must("lanes", (1..=64).contains(&settings.lanes), "from 1 to 64")?;
        self.must("readers", (1..=500).contains(&settings.readers), "from 1 to 500")?;
        self.must("followers", (1..=500).contains(&settings.followers), "from 1 to 500")?;
        let log = edge::telemetry::filter(&settings.log).is_ok();
        self.must("log", log, "a filter of tracing, as warn,event_store=debug")?;
        let origins = settings.cors_origins.as_deref().map(str::parse::<Origins>);
        self.must(
            "cors_origins",
            origins.is_none_or(|origins| origins.is_ok()),
            "`*`, or origins as a browser writes them, https://shop.example, with commas between",
        )?;
        let proxies = settings.trusted_proxies.as_deref().map(str::parse::<Proxies>);
        self.must(
            "trusted_proxies",
            proxies.is_none_or(|proxies| proxies.is_ok()),
            "addresses and networks with commas between, 10.0.0.7,10.1.0.0/16",
        )?;
        self.check_routes()?;
        self.must("body_limit_bytes", settings.body_limit_bytes >= 1024, "at least 1024")?;
        self.must("request_timeout_s", settings.request_timeout_s >= 1, "at least 1")?;
        self.must("shutdown_s", settings.shutdown_s >= 1, "at least 1")?;
        self.must("settle_deadline_s", settings.settle_deadline_s >= 1, "at least 1")?;
        self.must("finish_deadline_s", settings.finish_deadline_s >= 1, "at least 1")?;
        self.check_limits()?;
        let names_a_topic = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let prefix = &settings.topic_prefix;
        let is_prefix = prefix.len() <= 64 && prefix.chars().all(names_a_topic);
        self.must(
            "topic_prefix",
            is_prefix,
            "up to 64 letters, digits, dots, dashes, underscores",
        )?;
        self.check_urls()?;
        let (cert, key) = (settings.tls_cert.is_some(), settings.tls_key.is_some());
        self.must("tls_key", cert == key, "set if, and only if, tls_cert is")?;
        let callers = settings.tls_client_ca.is_some();
        self.must("tls_client_ca", cert || !callers, "unset without tls_cert")?;
        let is_one = settings.provider_key.is_none() || settings.provider_key_file.is_none();
        self.must("provider_key", is_one, "unset where provider_key_file is set")?;
        self.check_kafka()?;
        let roles = settings.roles().is_some_and(|roles| !roles.is_empty());
        self.must("role", roles, "some of commands, relay, sagas, queries, with commas between")?;
        let services = settings.services().is_some_and(|services| !services.is_empty());
        self.must("service", services, "some of the shop's services, with commas between")
    }

    fn check_urls(&self) -> Result<(), SettingsError> {
        let settings = &self.settings;
        let is_http = |url: &str| url.parse::<reqwest::Url>().is_ok_and(is_http);
        let rule = "an http:// or https:// address";
        self.must("provider_url", settings.provider_url.as_deref().is_none_or(is_http), rule)?;
        for (service, _, key) in part::KEYS {
            self.must(key, settings.url_of(service).is_none_or(is_http), rule)?;
        }
        let is_postgres = |url: &str| url.parse::<tokio_postgres::Config>().is_ok();
        let rule = "postgres://user:password@host:port/name";
        let url = settings.database_url.as_ref().map(Secret::expose);
        self.must("database_url", url.is_none_or(is_postgres), rule)?;
        for (service, key, _) in part::KEYS {
            self.must(key, settings.database_url_of(service).is_none_or(is_postgres), rule)?;
        }
        Ok(())
    }

    /// A bound of nothing would stop what it bounds, and one without an end would be none.
    fn check_limits(&self) -> Result<(), SettingsError> {
        let limits = &self.settings.limits;
        for key in keys::bounds() {
            let (most, rule) = key.most();
            let said = self.said.number(key);
            self.must(key.name, said.is_some_and(|said| (1..=most).contains(&said)), rule)?;
        }
        for (key, value, most, rule) in limits.at_most() {
            self.must(key, value <= most, rule)?;
        }
        // Brokers take no others, unless they are told to.
        let session = (6_000..=1_800_000).contains(&limits.kafka_session_ms);
        self.must("kafka_session_ms", session, "from 6000 to 1800000")
    }

    fn must(
        &self,
        key: &'static str,
        holds: bool,
        rule: &'static str,
    ) -> Result<(), SettingsError> {
        if holds { Ok(()) } else { Err(self.said.breaks(keys::of(key), rule)) }
    }
}

fn is_http(url: reqwest::Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}
