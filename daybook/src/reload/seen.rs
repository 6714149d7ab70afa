use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files as they were at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<PathBuf, Stamp>);

/// Another file, or another content, is another stamp, wherever links lead now; so are other permissions. None if it is
/// not there.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Seen {
    pub(super) fn of<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut seen = Seen::default();
        seen.add(paths);
        seen
    }

    pub(super) fn add<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>) {
        for path in paths {
            let path = path.as_ref().to_owned();
            let stamp = stamp(&path);
            self.0.entry(path).or_insert(stamp);
        }
    }

    /// The same files now.
    pub(super) fn again(&self) -> Self {
        Self::of(self.0.keys())
    }

    /// As people read it.
    pub(super) fn changed_since(&self, before: &Self) -> String {
        let changed = self.0.iter().filter(|(path, stamp)| before.0.get(*path) != Some(*stamp));
        changed.map(|(path, _)| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_file_is_another_when_it_is_written_replaced_opened_to_others_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut seen = Seen::of([&path]);
        let mut changes = |what: &str, change: &dyn Fn()| {
            change();
            let now = seen.again();
            assert_ne!(now, seen, "{what}");
            assert_eq!(now.changed_since(&seen), path.display().to_string());
            assert_eq!(now.again(), now, "{what}");
            seen = now;
        };
        changes("it is there", &|| fs::write(&path, "one").unwrap());
        changes("it is longer", &|| fs::write(&path, "longer").unwrap());
        changes("it is another", &|| {
            fs::write(folder.path().join("other"), "other!").unwrap();
            fs::rename(folder.path().join("other"), &path).unwrap();
        });
        changes("it is gone", &|| fs::remove_file(&path).unwrap());
    }

    /// As Kubernetes renews a secret: the files are links into `..data`, which is a link that is replaced.
    #[test]
    fn a_mounted_secret_is_another_when_the_link_to_its_folder_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let within = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(within(version)).unwrap();
            fs::write(within(version).join("tls.crt"), "the same length").unwrap();
        }
        symlink("..1", within("..data")).unwrap();
        symlink("..data/tls.crt", within("tls.crt")).unwrap();
        let before = Seen::of([within("tls.crt")]);
        symlink("..2", within("..data_tmp")).unwrap();
        fs::rename(within("..data_tmp"), within("..data")).unwrap();
        assert_ne!(before.again(), before);
    }

    #[test]
    fn permissions_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let before = stamp(&path).unwrap();
        // The clock of files may tick slowly.
        while stamp(&path).unwrap() == before {
            fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
}
