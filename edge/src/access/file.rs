//! Files of secrets: only their owner may read them, and they are replaced as a whole.

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What is wrong with a file of secrets. Nothing of what stands in it is told.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} does not hold what it should: {what}", path.display())]
    Form { path: PathBuf, what: String },
    #[error("{} may be read by others than its owner: chmod 600 it", path.display())]
    Open { path: PathBuf },
}

impl SecretFileError {
    pub(super) fn form(path: &Path, what: impl Into<String>) -> Self {
        SecretFileError::Form { path: path.to_owned(), what: what.into() }
    }
}

/// What stands in the file, or `None` if there is none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SecretFileError> {
    let Some(text) = text(path)? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    // The parser's own words may quote the text.
    let what = |error: serde_json::Error| {
        SecretFileError::form(path, format!("line {}, column {}", error.line(), error.column()))
    };
    read.map(Some).map_err(what)
}

fn text(path: &Path) -> Result<Option<String>, SecretFileError> {
    let failed = |source| SecretFileError::Read { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        // Of the group, because that is how Kubernetes hands a secret over.
        Ok(found) if found.permissions().mode() & 0o007 != 0 => {
            return Err(SecretFileError::Open { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

/// Replaces the file as a whole; a reader finds the old one or the new one.
pub(super) fn write<T: Serialize>(path: &Path, content: &T) -> Result<(), SecretFileError> {
    let failed = |source| SecretFileError::Write { path: path.to_owned(), source };
    let text = serde_json::to_string_pretty(content).expect("names and texts always serialise");
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", hex(&random::<8>())));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// Keeps others who change the file out until it is dropped.
pub(super) fn lock(path: &Path) -> Result<File, SecretFileError> {
    let failed = |source| SecretFileError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(lock);
    let lock = lock.map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok(lock)
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system has a source of randomness");
    bytes
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
