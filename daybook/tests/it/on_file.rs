//! The real program with all its settings in a file, which the test may write again.

use crate::shop::eventually;
use crate::support::{Daybook, World, binary, free_port};
use edge::tls::TlsFiles;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::process::Command;

pub(crate) struct OnFile {
    folder: PathBuf,
    name: String,
    pub(crate) port: u16,
    /// By key, as TOML writes values.
    lines: BTreeMap<String, String>,
}

pub(crate) const TAKEN: &str = "daybook_reloads_total{outcome=\"taken\"}";
pub(crate) const REFUSED: &str = "daybook_reloads_total{outcome=\"refused\"}";

impl OnFile {
    /// On the database of a world, without Kafka, and quick to notice.
    pub(crate) fn of(world: &World, name: &str) -> Self {
        let (folder, port) = (world.folder.path().to_owned(), free_port());
        let mut file = OnFile { folder, name: name.to_owned(), port, lines: BTreeMap::new() };
        let data = file.path(&format!("{name}.data"));
        file.set("listen", &format!("127.0.0.1:{port}"));
        file.set("data_dir", &data.display().to_string());
        file.set("database_url", &world.database_url);
        file.set("topic_prefix", &world.topic_prefix);
        file.set("provider_url", &world.provider.url);
        file.set("kafka", "off");
        file.set("log", "warn");
        file.set("reload_look_ms", "50");
        // A debug build among other tests is slow; that is no overload.
        file.set("crowd_burst_ms", "60000");
        file
    }

    /// A file beside the settings.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.path(&format!("{}.toml", self.name))
    }

    /// Not yet in the file.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let is_bare = value.parse::<u64>().is_ok() || value.parse::<bool>().is_ok();
        let value = if is_bare { value.to_owned() } else { format!("{value:?}") };
        self.lines.insert(key.to_owned(), value);
    }

    pub(crate) fn tls(&mut self, files: &TlsFiles) {
        let shown = |path: &Path| path.display().to_string();
        self.set("tls_cert", &shown(&files.certificate));
        self.set("tls_key", &shown(&files.key));
        if let Some(callers) = &files.callers {
            self.set("tls_client_ca", &shown(callers));
        }
    }

    pub(crate) fn write(&self) {
        self.write_with("");
    }

    /// With another line behind it.
    pub(crate) fn write_with(&self, last: &str) {
        replace(&self.settings(), &(self.text() + last));
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    /// Writes the file and starts the program, whose log goes into another.
    pub(crate) fn serve(&self) -> Daybook {
        self.write();
        let log = std::fs::File::create(self.path(&format!("{}.log", self.name))).unwrap();
        let mut serve = self.command("serve");
        serve.stdout(Stdio::null()).stderr(log);
        let mut daybook = Daybook::of(serve.spawn().unwrap(), self.port);
        if self.lines.contains_key("tls_cert") {
            daybook.url = daybook.url.replace("http:", "https:");
        }
        daybook
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path(&format!("{}.log", self.name))).unwrap()
    }

    /// A command of the program with the same settings.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = binary();
        command.args(words.split(' ')).env("DAYBOOK_CONFIG", self.settings());
        command.current_dir(&self.folder).kill_on_drop(true);
        command
    }

    /// The same with settings that nobody serves with.
    pub(crate) fn command_with_own_file(&self, name: &str, words: &str) -> Command {
        let file = self.path(&format!("{name}.toml"));
        std::fs::write(&file, self.text()).unwrap();
        let mut command = self.command(words);
        command.env("DAYBOOK_CONFIG", file);
        command
    }

    /// What it says, if it succeeds.
    pub(crate) async fn says(&self, words: &str) -> String {
        let Output { status, stdout, stderr } = self.command(words).output().await.unwrap();
        let (said, why) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "daybook {words}: {status}\n{said}\n{why}");
        said
    }
}

/// Puts another file in the place of one, in one step, that its owner alone may read.
pub(crate) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::set_permissions(&beside, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// Waits until it has been counted more often than that.
pub(crate) async fn hang_up(daybook: &Daybook) {
    let pid = daybook.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().await.unwrap().success());
}

pub(crate) async fn counts_on(daybook: &Daybook, metric: &str, from: f64) {
    eventually(&format!("{metric} is more than {from}"), async || {
        let now = daybook.metric(metric).await.unwrap_or_default();
        (now > from).then_some(()).ok_or_else(|| now.to_string())
    })
    .await;
}

/// What a ready process says of its settings.
pub(crate) async fn standing(daybook: &Daybook) -> Value {
    daybook.until("it is ready", "/health/ready", |it| it["status"] == "ready").await["settings"]
        .clone()
}
