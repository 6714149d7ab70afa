//! The data folder and the lock that makes one process its owner.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::error::{EmbeddedError, file};

/// A look at the folder by another command holds the lock for an instant, which is no owner.
const LOOKS: u32 = 20;

/// A data folder that this process owns for as long as the value lives. The lock falls with the
/// process however it ends, and the servers do not inherit it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) async fn own(folder: &Path) -> Result<Self, EmbeddedError> {
        fs::create_dir_all(folder).map_err(file("create", folder))?;
        let path = folder.canonicalize().map_err(file("find", folder))?;
        let lock_path = lock_path(&path);
        let open = File::options().create(true).append(true).read(true).open(&lock_path);
        let mut lock = open.map_err(file("open", &lock_path))?;
        for look in 1.. {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if look < LOOKS => {
                    sleep(Duration::from_millis(20)).await
                }
                Err(TryLockError::WouldBlock) => return Err(owned(path, &lock_path)),
                Err(TryLockError::Error(source)) => return Err(file("lock", &lock_path)(source)),
            }
        }
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(file("write", &lock_path))?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether some process owns this folder now.
pub(super) fn is_owned(folder: &Path) -> bool {
    File::open(lock_path(folder))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("lock")
}

fn owned(folder: PathBuf, lock: &Path) -> EmbeddedError {
    let owner = fs::read_to_string(lock).ok().map(|pid| pid.trim().to_owned());
    EmbeddedError::Owned { folder, owner: owner.filter(|pid| !pid.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_data_folder_has_one_owner_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("not/there/yet");
        assert!(!is_owned(&folder));

        let first = Folder::own(&folder).await.unwrap();
        assert!(is_owned(&folder));
        let second = Folder::own(&folder).await.unwrap_err();
        let us = std::process::id();
        assert!(
            second.to_string().contains(&format!("another daybook (pid {us}) owns")),
            "{second}"
        );

        drop(first);
        assert!(!is_owned(&folder));
        Folder::own(&folder).await.unwrap();
    }
}
