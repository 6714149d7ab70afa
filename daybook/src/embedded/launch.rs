//! Starting a server so that whoever comes later can find it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::sleep;

use super::error::{EmbeddedError, file};
use super::process::Process;
use super::user::User;

/// The record is written by the child itself, which then becomes the server: there is no moment at
/// which we can be killed and leave a server that nobody knows. Pid and start time survive the
/// `exec`.
const RECORD_AND_BECOME: &str =
    r#"read -r stat < /proc/$$/stat && echo "$stat" > "$0.new" && mv "$0.new" "$0" && exec "$@""#;

/// How long a server may need to answer after it said that it runs.
const STEP: Duration = Duration::from_millis(50);

/// One server's command line and its places.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) server: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// Where it runs, and where its record and its log are.
    pub(super) home: PathBuf,
    pub(super) user: Option<User>,
    /// The signal that ends it when its [`Process`] is dropped.
    pub(super) leash: Option<Signal>,
}

impl Launch {
    pub(super) fn record(&self) -> PathBuf {
        self.home.join("process")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.join("server.log")
    }

    /// A process of an earlier owner, and whether it is just what we would start.
    pub(super) fn leftover(&self) -> Option<(Process, bool)> {
        let process = Process::recorded(&self.record(), self.leash)?;
        let wanted = std::iter::once(self.program.as_os_str())
            .chain(self.arguments.iter().map(|a| a.as_os_str()));
        let same = wanted.map(|word| word.as_encoded_bytes().to_vec()).eq(process.command_line());
        Some((process, same))
    }

    /// Starts the server in a process group of its own; its log begins anew, the last one stays
    /// beside it.
    pub(super) fn start(&self) -> Result<Process, EmbeddedError> {
        let log = self.log();
        if log.exists() {
            fs::rename(&log, log.with_extension("log.1")).map_err(file("rename", &log))?;
        }
        let output = File::create(&log).map_err(file("create", &log))?;
        let errors = output.try_clone().map_err(file("open", &log))?;
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(RECORD_AND_BECOME)
            .arg(self.record())
            .arg(&self.program)
            .args(&self.arguments);
        command.current_dir(&self.home).process_group(0);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        if let Some(user) = self.user {
            user.become_in(&mut command);
        }
        let failed = |source| EmbeddedError::Launch { program: self.program.clone(), source };
        // Dropping the handle leaves the child running; tokio collects its exit status when it
        // ends.
        let child = tokio::process::Command::from(command).spawn().map_err(failed)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or(std::io::ErrorKind::NotFound.into()).map_err(failed)?;
        Process::open(pid, self.leash).map_err(failed)
    }

    /// Asks `ready` until it says yes, the process ends, or time is over.
    pub(super) async fn wait_until_ready<Ready: Future<Output = bool>>(
        &self,
        process: &Process,
        patience: Duration,
        ready: impl Fn() -> Ready,
    ) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        while !ready().await {
            let (server, log) = (self.server, self.log());
            if !process.alive() {
                return Err(EmbeddedError::Died { server, tail: tail(&log), log });
            }
            if began.elapsed() > patience {
                return Err(EmbeddedError::NotReady {
                    server,
                    after: patience,
                    tail: tail(&log),
                    log,
                });
            }
            sleep(STEP).await;
        }
        Ok(())
    }
}

/// The last lines of a log, for an error message.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
