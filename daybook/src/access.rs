//! Whether callers are asked who they are, and by what.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use edge::access::{AccessSettings, SigningKeys};
use edge::{Access, Proxies, clock};

use crate::settings::{AuthMode, Settings};

impl Settings {
    /// Where what is trusted stands: in the data folder, where nothing else is said.
    pub(crate) fn access(&self) -> AccessSettings {
        let file = |said: &Option<PathBuf>, usual: &str| {
            said.clone().unwrap_or_else(|| self.data_dir.join(usual))
        };
        AccessSettings {
            keys_file: file(&self.auth_keys_file, "token-keys.json"),
            api_keys_file: file(&self.auth_api_keys_file, "api-keys.json"),
            issuers_file: file(&self.auth_issuers_file, "issuers.toml"),
            issuer: self.auth_issuer.clone(),
            audience: self.auth_audience.clone(),
            services: self.part().services.iter().map(|it| (*it).to_owned()).collect(),
            proxies: self.proxies(),
            limits: self.limits.access(),
        }
    }

    /// Whether callers are asked who they are. Where only this machine can come, they need not be.
    fn asks(&self, listen: SocketAddr) -> Result<bool> {
        let is_loopback = listen.ip().to_canonical().is_loopback();
        match self.auth {
            AuthMode::On => Ok(true),
            AuthMode::Off if is_loopback => Ok(false),
            AuthMode::Off => bail!(
                "auth = \"off\" lets everybody who can reach {listen} do everything: it is for loopback \
                 alone. Leave it out, and give each caller a token (`daybook token --help`)"
            ),
            AuthMode::Auto => Ok(!is_loopback),
        }
    }
}

/// Checked before anything is started.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    settings.asks(settings.listen).map(drop)
}

/// Makes the first key of our own, if there is none: it is a file like the others then.
pub(crate) fn first_key(settings: &Settings) -> Result<()> {
    if settings.asks(settings.listen)? {
        SigningKeys::ensure(&settings.access().keys_file, clock::now())?;
    }
    Ok(())
}

/// The files in which what is trusted stands.
pub(crate) fn files(settings: &Settings) -> Vec<PathBuf> {
    if !settings.asks(settings.listen).unwrap_or(true) {
        return Vec::new();
    }
    let AccessSettings { keys_file, api_keys_file, issuers_file, .. } = settings.access();
    vec![keys_file, api_keys_file, issuers_file]
}

/// Opens what is trusted. Who guesses is told apart by these proxies.
pub(crate) fn open(settings: &Settings, proxies: &Proxies) -> Result<Access> {
    if settings.asks(settings.listen)? {
        let proxies = proxies.clone();
        return Ok(Access::on(AccessSettings { proxies, ..settings.access() })?);
    }
    Ok(Access::off())
}

/// What is said of it at the start.
pub(crate) fn line(access: &Access, listen: SocketAddr) -> String {
    if access.is_off() {
        format!("Access    OFF: whoever reaches {listen} may do everything, without a login")
    } else {
        "Access    on: a token or an API key is asked for (`daybook token`, `daybook key`)"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Loaded, ServeFlags};

    fn asks(auth: &str, listen: &str) -> Option<bool> {
        let told = [("DAYBOOK_AUTH", auth), ("DAYBOOK_LISTEN", listen)];
        let told = told.map(|(name, value)| (name.into(), value.into()));
        let settings = Loaded::from(None, told, &ServeFlags::default()).unwrap().settings;
        settings.asks(settings.listen).ok()
    }

    #[test]
    fn nobody_is_let_in_without_being_asked_but_on_loopback() {
        for here in ["127.0.0.1:7400", "[::1]:0", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(asks("auto", here), Some(false), "{here}");
            assert_eq!(asks("off", here), Some(false), "{here}");
            assert_eq!(asks("on", here), Some(true), "{here}");
        }
        for elsewhere in ["0.0.0.0:7400", "[::]:0", "192.0.2.7:1", "[::ffff:192.0.2.7]:1"] {
            assert_eq!(asks("auto", elsewhere), Some(true), "{elsewhere}");
            assert_eq!(asks("off", elsewhere), None, "{elsewhere}");
            assert_eq!(asks("on", elsewhere), Some(true), "{elsewhere}");
        }
    }
}
