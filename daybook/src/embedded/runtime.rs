//! `daybook.json` in the data folder: how other commands find a running Daybook.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::folder;

/// Where a running Daybook and its servers are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    pub pid: u32,
    /// `http://127.0.0.1:7400`, once it listens.
    pub url: Option<String>,
    pub database_url: Option<String>,
    /// Once Kafka is up, if there is one.
    pub kafka_brokers: Option<String>,
}

impl Runtime {
    /// The Daybook that runs on this data folder, if one does. What a killed one left is not
    /// believed.
    pub fn find(data_dir: &Path) -> Option<Self> {
        if !folder::is_owned(data_dir) {
            return None;
        }
        serde_json::from_slice(&fs::read(data_dir.join("daybook.json")).ok()?).ok()
    }
}

/// The file, kept up to date while Daybook runs.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    /// `None` if there is no data folder: everything is somebody else's, and so is finding it.
    path: Option<PathBuf>,
    runtime: Arc<Mutex<Runtime>>,
}

impl Announcement {
    pub(super) fn new(folder: Option<&Path>) -> Self {
        let runtime = Runtime { pid: std::process::id(), ..Runtime::default() };
        let path = folder.map(|folder| folder.join("daybook.json"));
        Self { path, runtime: Arc::new(Mutex::new(runtime)) }
    }

    /// Changes what is announced. That others cannot find us is no reason to stop, so a failure is
    /// logged.
    pub(super) fn update(&self, change: impl FnOnce(&mut Runtime)) {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut runtime);
        let Some(path) = &self.path else { return };
        if let Err(error) = write(path, &runtime) {
            tracing::warn!(path = %path.display(), %error, "other commands cannot find us");
        }
    }

    pub(super) fn withdraw(&self) {
        let Some(path) = &self.path else { return };
        if let Err(error) = fs::remove_file(path) {
            tracing::debug!(path = %path.display(), %error, "was not there to be removed");
        }
    }
}

/// The file holds the database's password, so nobody else may read it; and nobody reads half of it.
fn write(path: &Path, runtime: &Runtime) -> std::io::Result<()> {
    let new = path.with_extension("json.new");
    fs::write(&new, "")?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::write(&new, serde_json::to_vec_pretty(runtime)?)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::folder::Folder;

    #[tokio::test]
    async fn a_running_daybook_is_found_and_a_killed_one_is_not() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::own(temporary.path()).await.unwrap();
        let announcement = Announcement::new(Some(folder.path()));
        announcement.update(|runtime| runtime.url = Some("http://127.0.0.1:7400".to_owned()));

        let found = Runtime::find(temporary.path()).unwrap();
        assert_eq!(found.url.as_deref(), Some("http://127.0.0.1:7400"));
        let mode =
            fs::metadata(temporary.path().join("daybook.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        drop(folder);
        assert_eq!(Runtime::find(temporary.path()), None);
    }
}
