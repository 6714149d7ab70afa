//! Where PostgreSQL's programs are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;

/// Debian keeps one folder per major version, and puts none of them on the path.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder of `initdb` and `postgres`: of the version that made `data`, if it exists, else the
/// newest.
pub(super) fn find(data: &Path) -> Result<PathBuf, EmbeddedError> {
    let debian = Path::new(DEBIAN);
    match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(version) => {
            let version = version.trim().to_owned();
            let bin = debian.join(&version).join("bin");
            if complete(&bin) {
                return Ok(bin);
            }
            let other =
                || EmbeddedError::OtherPostgres { data: data.to_owned(), version: version.clone() };
            on_path()
                .filter(|bin| major(bin).as_deref() == Some(version.as_str()))
                .ok_or_else(other)
        }
        Err(_) => newest(debian).or_else(on_path).ok_or(EmbeddedError::NoPostgres),
    }
}

fn newest(debian: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(debian).ok()?.flatten();
    let bins = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    bins.filter(|(_, bin)| complete(bin)).max().map(|(_, bin)| bin)
}

/// A link on the path leads to the folder where its companions are.
fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let initdb =
        env::split_paths(&path).map(|folder| folder.join("initdb")).find(|path| path.is_file())?;
    initdb.canonicalize().ok()?.parent().filter(|bin| complete(bin)).map(Path::to_owned)
}

fn complete(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is of major version 15.
fn major(bin: &Path) -> Option<String> {
    let output = std::process::Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2)?.split('.').next().map(str::to_owned)
}
