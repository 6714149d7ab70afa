//! Text that is not to be seen in a log, an error or a table.

use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::keys::Secrecy;

const MASK: &str = "***";

/// A value whose `Debug` says nothing.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// The one line in a file that a key names.
pub(super) fn secret_in(key: &str, path: &Path) -> Result<String> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("{key}: cannot read {}", path.display()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    ensure!(!line.is_empty(), "{key}: there is nothing in {}", path.display());
    Ok(line.to_owned())
}

/// What may be shown of a value.
pub(super) fn shown(value: &str, secrecy: Secrecy) -> String {
    match secrecy {
        Secrecy::Open => value.to_owned(),
        Secrecy::Whole => MASK.to_owned(),
        Secrecy::Password => without_password(value),
    }
}

/// Both forms that Postgres takes: `postgres://user:password@host/name?password=…`, and
/// `host=… password=…`.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // It may be quoted and hold blanks, so nothing behind it is shown.
        return match url.find("password") {
            Some(at) => format!("{}password={MASK}", &url[..at]),
            None => url.to_owned(),
        };
    };
    // A password may hold a slash or a question mark: what stands before the last @ is no more than it may be.
    let masked = match rest.rsplit_once('@').map(|(who, host)| (who.split_once(':'), host)) {
        Some((Some((user, _)), host)) => format!("{user}:{MASK}@{host}"),
        Some((None, _)) | None => rest.to_owned(),
    };
    match masked.split_once('?') {
        Some((path, query)) => format!("{scheme}://{path}?{}", without_parameter(query)),
        None => format!("{scheme}://{masked}"),
    }
}

fn without_parameter(query: &str) -> String {
    let masked = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if name.trim() == "password" => format!("{name}={MASK}"),
        Some(_) | None => parameter.to_owned(),
    });
    masked.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Loaded, ReachFlags};
    use std::ffi::OsString;

    #[test]
    fn the_key_of_the_provider_is_said_or_stands_in_a_file_and_not_both() {
        let key = |told: &[(&str, &str)]| {
            let variable = |name: &str| OsString::from(format!("DAYBOOK_PROVIDER_{name}"));
            let told = told.iter().map(|(name, value)| (variable(name), value.into()));
            let loaded = Loaded::from(None, told, &ReachFlags::default());
            let settings = loaded.map_err(|error| error.to_string())?.settings;
            settings.provider_key().map_err(|error| format!("{error:#}"))
        };
        let folder = tempfile::tempdir().unwrap();
        let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
        fs::write(&full, "sk_test_1\n").unwrap();
        fs::write(&empty, "\n").unwrap();
        let [full, empty] = [full, empty].map(|path| path.display().to_string());
        assert_eq!(key(&[]), Ok(None));
        for told in [("KEY", "sk_test_1"), ("KEY_FILE", &*full)] {
            assert_eq!(key(&[told]), Ok(Some("sk_test_1".to_owned())));
        }
        for (told, complaint) in [
            (&[("KEY_FILE", &*empty)][..], "provider_key_file: there is nothing in "),
            (&[("KEY_FILE", "/no/such")], "provider_key_file: cannot read /no/such: No such file"),
            (&[("KEY", "sk_test_1"), ("KEY_FILE", &*full)], "unset where provider_key_file is set"),
        ] {
            let refused = key(told).unwrap_err();
            assert!(refused.contains(complaint), "{refused}");
            assert!(!refused.contains("sk_test_1"), "{refused}");
        }
    }

    #[test]
    fn a_password_is_not_shown_in_any_form() {
        for (url, shown) in [
            ("postgres://me:s3cret@db:5432/shop", "postgres://me:***@db:5432/shop"),
            ("postgres://me:s3@cret@db/shop", "postgres://me:***@db/shop"),
            ("postgres://me@db/shop", "postgres://me@db/shop"),
            (
                "postgres://db/shop?password=s3cret&user=me",
                "postgres://db/shop?password=***&user=me",
            ),
            ("postgres://me:s3/cr?et@db/shop?a=b", "postgres://me:***@db/shop?a=b"),
            ("postgres://db/shop?password=s3@cret", "postgres://db/shop?password=***"),
            ("host=db user=me password=s3cret", "host=db user=me password=***"),
            ("host=db password = s3cret", "host=db password=***"),
            ("password='s3 cret' host=db", "password=***"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        assert_eq!(shown("sk_test_1", Secrecy::Whole), "***");
        assert_eq!(format!("{:?}", Secret("s3cret".to_owned())), "***");
    }
}
