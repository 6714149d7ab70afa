//! Whether there can be a Kafka here: a Java, and the jars.

use std::env;
use std::path::{Path, PathBuf};

/// Where `make setup` puts the jars, and where a container image has them.
const JARS: &str = ".tools/kafka/libs";
const JARS_INSTALLED: &str = "/usr/share/daybook/kafka";

/// What runs Kafka.
#[derive(Clone, Debug)]
pub struct Java {
    pub program: PathBuf,
    pub jars: PathBuf,
}

/// Why there is no Kafka.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKafka {
    #[error("Java is not installed")]
    NoJava,
    #[error("Kafka's jars are not in {}; `make setup` fetches them", .0.display())]
    NoJars(PathBuf),
}

impl Java {
    /// Looks for Java in `JAVA_HOME` and on the path, and for the jars in the given folder, else in
    /// the places where they are put.
    pub fn find(jars: Option<&Path>) -> Result<Self, NoKafka> {
        let program = java().ok_or(NoKafka::NoJava)?;
        let places = jars.map_or_else(usual_places, |jars| vec![jars.to_owned()]);
        let jars = places
            .iter()
            .find(|place| holds_kafka(place))
            .and_then(|place| place.canonicalize().ok());
        let missing = || NoKafka::NoJars(places.into_iter().next().unwrap_or_else(|| JARS.into()));
        Ok(Self { program, jars: jars.ok_or_else(missing)? })
    }
}

fn java() -> Option<PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = home.into_iter().chain(env::split_paths(&path));
    folders.map(|folder| folder.join("java")).find(|java| java.is_file())
}

/// Below the current folder, and below every folder above the binary: a work tree's `target/` is in
/// it.
fn usual_places() -> Vec<PathBuf> {
    let binary = env::current_exe().unwrap_or_default();
    let above = binary.ancestors().skip(1).map(|folder| folder.join(JARS));
    [PathBuf::from(JARS)].into_iter().chain(above).chain([PathBuf::from(JARS_INSTALLED)]).collect()
}

fn holds_kafka(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.starts_with("kafka-server-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_jars_is_named() {
        let empty = tempfile::tempdir().unwrap();
        let missing = Java::find(Some(empty.path())).unwrap_err();
        let expected = [NoKafka::NoJava, NoKafka::NoJars(empty.path().to_owned())];
        assert!(expected.contains(&missing), "{missing}");
    }
}
