//! How a Kafka of yours is spoken to. The one that is embedded listens on loopback alone, and is spoken to in clear.

use super::secret::secret_in;
use super::{Loaded, Secret, Settings, SettingsError};
use anyhow::{Context, Result};
use event_store::kafka::{Brokers, BrokersTls, Login, Mechanism};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

impl Settings {
    /// A Kafka that is not embedded, if there is one, with what the files of today hold.
    ///
    /// # Errors
    /// If a file cannot be read, or what it holds cannot be used.
    pub fn brokers(&self) -> Result<Option<Brokers>> {
        let Some(addresses) = self.kafka_brokers.clone() else { return Ok(None) };
        let brokers = Brokers { addresses, tls: self.kafka_tls()?, login: self.kafka_login()? };
        brokers.check().context("kafka_ca, kafka_cert or kafka_key")?;
        Ok(Some(brokers))
    }

    /// Every file from which the above is made.
    pub(crate) fn kafka_files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.kafka_ca, &self.kafka_cert, &self.kafka_key, &self.kafka_password_file];
        files.into_iter().flatten().map(PathBuf::as_path)
    }

    fn kafka_tls(&self) -> Result<Option<BrokersTls>> {
        let Some(authorities) = &self.kafka_ca else { return Ok(None) };
        let own = match self.kafka_cert.as_ref().zip(self.kafka_key.as_ref()) {
            Some((certificate, key)) => {
                Some((text("kafka_cert", certificate)?, text("kafka_key", key)?))
            }
            None => None,
        };
        Ok(Some(BrokersTls { trusted: text("kafka_ca", authorities)?, own }))
    }

    fn kafka_login(&self) -> Result<Option<Login>> {
        let Some(user) = self.kafka_user.clone() else { return Ok(None) };
        let said = self.kafka_password.as_ref().map(|password| password.expose().to_owned());
        let password = match &self.kafka_password_file {
            Some(file) => secret_in("kafka_password_file", file)?,
            None => said.unwrap_or_default(),
        };
        Ok(Some(Login { user, password, mechanism: self.kafka_mechanism }))
    }
}

impl Loaded {
    /// What of it goes together. Half of something that is meant to keep others out keeps nobody out.
    pub(super) fn check_kafka(&self) -> Result<(), SettingsError> {
        let settings = &self.settings;
        let (tls, shows) = (settings.kafka_ca.is_some(), settings.kafka_cert.is_some());
        let logs_in = settings.kafka_user.is_some();
        let addresses = settings.kafka_brokers.as_deref();
        let rule = "unset without kafka_brokers: the Kafka that is embedded is spoken to in clear";
        self.must("kafka_ca", !tls || addresses.is_some(), rule)?;
        self.must("kafka_user", !logs_in || addresses.is_some(), rule)?;
        let rule = "set if, and only if, kafka_cert is";
        self.must("kafka_key", shows == settings.kafka_key.is_some(), rule)?;
        self.must("kafka_cert", tls || !shows, "unset without kafka_ca")?;
        let password = settings.kafka_password.as_ref().map(Secret::expose);
        let has_file = settings.kafka_password_file.is_some();
        let rule = "set, or kafka_password_file, if, and only if, kafka_user is";
        self.must("kafka_password", logs_in == (password.is_some() || has_file), rule)?;
        let rule = "unset where kafka_password_file is set";
        self.must("kafka_password", password.is_none() || !has_file, rule)?;
        let is_plain = logs_in && settings.kafka_mechanism == Mechanism::Plain;
        let stays_here = tls || addresses.is_none_or(is_loopback);
        let rule = "SCRAM-SHA-512 or SCRAM-SHA-256 without kafka_ca: PLAIN would show the password to all the way";
        self.must("kafka_mechanism", !is_plain || stays_here, rule)
    }
}

/// Whether all of `host:port,…` are of this machine.
fn is_loopback(addresses: &str) -> bool {
    addresses.split(',').all(|address| {
        let host = address.trim().rsplit_once(':').map_or(address.trim(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

fn text(key: &str, path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{key}: cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ReachFlags;

    fn loaded(told: &[(&str, &str)]) -> Result<Settings, String> {
        let told =
            told.iter().map(|(name, value)| (format!("DAYBOOK_{name}").into(), value.into()));
        let loaded = Loaded::from(None, told, &ReachFlags::default());
        loaded.map(|it| it.settings).map_err(|error| error.to_string())
    }

    const BROKERS: (&str, &str) = ("KAFKA_BROKERS", "kafka:9093");
    const USER: (&str, &str) = ("KAFKA_USER", "shop");
    const PASSWORD: (&str, &str) = ("KAFKA_PASSWORD", "s3cret");
    const PLAIN: (&str, &str) = ("KAFKA_MECHANISM", "PLAIN");
    const CA: (&str, &str) = ("KAFKA_CA", "/no/such/ca.pem");

    #[test]
    fn half_of_what_keeps_others_out_is_refused() {
        for (told, rule) in [
            (
                &[CA][..],
                "`kafka_ca` is \"/no/such/ca.pem\", and must be unset without kafka_brokers",
            ),
            (
                &[USER, PASSWORD],
                "`kafka_user` is \"shop\", and must be unset without kafka_brokers",
            ),
            (&[BROKERS, USER], "`kafka_password` is \"\", and must be set, or kafka_password_file"),
            (&[BROKERS, PASSWORD], "`kafka_password` is \"***\", and must be set"),
            (
                &[BROKERS, USER, PASSWORD, ("KAFKA_PASSWORD_FILE", "p")],
                "unset where kafka_password_file is set",
            ),
            (&[BROKERS, CA, ("KAFKA_CERT", "c.pem")], "`kafka_key` is \"\", and must be set"),
            (&[BROKERS, CA, ("KAFKA_KEY", "k.pem")], "must be set if, and only if, kafka_cert is"),
            (
                &[BROKERS, ("KAFKA_CERT", "c.pem"), ("KAFKA_KEY", "k.pem")],
                "`kafka_cert` is \"c.pem\", and must be unset without kafka_ca",
            ),
            (&[BROKERS, USER, PASSWORD, PLAIN], "must be SCRAM-SHA-512 or SCRAM-SHA-256 without"),
            (
                &[("KAFKA_BROKERS", "localhost:9,kafka:9"), USER, PASSWORD, PLAIN],
                "PLAIN would show the password",
            ),
            (&[("KAFKA_MECHANISM", "MD5")], "must be SCRAM-SHA-512|SCRAM-SHA-256|PLAIN"),
        ] {
            let refused = loaded(told).unwrap_err();
            assert!(refused.contains(rule), "{refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn what_goes_together_is_taken() {
        let mechanism = |told: &[(&str, &str)]| {
            let brokers = loaded(told).unwrap().brokers().unwrap().unwrap();
            (brokers.login.map(|login| (login.password, login.mechanism)), brokers.tls.is_some())
        };
        let login = |mechanism| Some(("s3cret".to_owned(), mechanism));
        assert_eq!(mechanism(&[BROKERS]), (None, false));
        let scram = login(Mechanism::ScramSha512);
        assert_eq!(mechanism(&[BROKERS, USER, PASSWORD]), (scram, false));
        for here in ["localhost:9092", "127.0.0.1:9092,[::1]:9092"] {
            let told = [("KAFKA_BROKERS", here), USER, PASSWORD, PLAIN];
            assert_eq!(mechanism(&told), (login(Mechanism::Plain), false));
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "s3cret\n").unwrap();
        let file = file.display().to_string();
        let told =
            [BROKERS, USER, ("KAFKA_PASSWORD_FILE", &*file), ("KAFKA_MECHANISM", "SCRAM-SHA-256")];
        assert_eq!(mechanism(&told), (login(Mechanism::ScramSha256), false));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::write(&empty, "\n").unwrap();
        let empty = empty.display().to_string();
        for (told, complaint) in [
            (&[BROKERS, CA][..], "kafka_ca: cannot read /no/such/ca.pem: No such file"),
            (&[BROKERS, ("KAFKA_CA", &*empty)], "cannot be used: failed to read certificate"),
            (
                &[BROKERS, USER, ("KAFKA_PASSWORD_FILE", &*empty)],
                "kafka_password_file: there is nothing in ",
            ),
        ] {
            let refused = loaded(told).unwrap().brokers().unwrap_err();
            let refused = format!("{refused:#}");
            assert!(refused.contains(complaint), "{refused}");
        }
    }
}
