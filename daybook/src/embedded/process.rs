//! A server's process: found again by its record, watched and ended by a descriptor that cannot
//! come to mean another process.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{sleep, timeout};

/// How soon the end of a process is noticed that is about to be gone.
const GLANCE: Duration = Duration::from_millis(100);

/// How long a parent may need to collect a process that has ended; that of an orphan is the machine's first.
const COLLECTED: Duration = Duration::from_secs(10);

/// A running process, ours or adopted.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    /// In clock ticks since the machine started. With the pid it names one process for ever.
    began: u64,
    pidfd: OwnedFd,
    /// Sent when the value is dropped, so that a test that panics leaves no server behind.
    leash: Option<Signal>,
}

impl Process {
    /// The process with this pid, if there is one.
    pub(super) fn open(pid: i32, leash: Option<Signal>) -> io::Result<Self> {
        let named = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = pidfd_open(named, PidfdFlags::empty())?;
        let began = Stat::read(pid).ok_or(io::ErrorKind::NotFound)?.began;
        Ok(Self { pid, began, pidfd, leash })
    }

    /// The process that wrote this record when it was launched, if it still lives.
    pub(super) fn recorded(record: &Path, leash: Option<Signal>) -> Option<Self> {
        let recorded = Stat::parse(&fs::read_to_string(record).ok()?)?;
        // The descriptor comes first: what is compared afterwards is the process it stands for. The
        // leash comes last: a stranger's process must not be on it.
        let mut process = Self::open(recorded.pid, None).ok()?;
        let same = process.began == recorded.began && process.alive();
        if !same {
            return None;
        }
        process.leash = leash;
        Some(process)
    }

    /// Waits until the process that wrote this record is gone: one that has ended is there until its parent has
    /// asked how, and for some it goes on until then.
    pub(super) async fn is_gone(record: &Path) {
        let Some(recorded) = fs::read_to_string(record).ok().and_then(|line| Stat::parse(&line))
        else {
            return;
        };
        let there = || Stat::read(recorded.pid).is_some_and(|stat| stat.began == recorded.began);
        let going = async {
            while there() {
                sleep(GLANCE).await;
            }
        };
        if timeout(COLLECTED, going).await.is_err() {
            tracing::warn!(pid = recorded.pid, "nobody collects a server that has ended");
        }
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// False from the moment it ended and let go of its ports, even while nobody has collected its
    /// exit status.
    pub fn alive(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.began == self.began && !stat.ended)
    }

    /// The command line it was started with.
    pub(super) fn command_line(&self) -> Vec<Vec<u8>> {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        line.strip_suffix(&[0])
            .unwrap_or(&line)
            .split(|byte| *byte == 0)
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// Sends a signal; a process that has ended by itself does not mind.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(&self.pidfd, signal) {
            tracing::debug!(pid = self.pid, %error, "a signal was not delivered");
        }
    }

    /// Waits until it has ended. It is looked at, not waited for: an adopted process is not our
    /// child. What has lived for a while is looked at less often.
    pub async fn ended(&self) {
        let mut pause = GLANCE / 4;
        while self.alive() {
            sleep(pause).await;
            pause = (pause * 2).min(GLANCE * 4);
        }
    }

    /// Ends it: each signal in turn is given its time, and after the last comes the one that cannot
    /// be refused.
    pub(super) async fn end(&self, signals: &[(Signal, Duration)]) {
        for (signal, patience) in signals {
            self.signal(*signal);
            if timeout(*patience, self.ended()).await.is_ok() {
                return;
            }
            tracing::warn!(pid = self.pid, ?signal, ?patience, "a server did not end in time");
        }
        self.kill().await;
    }

    /// Ends it at once, as a crash would.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(signal) = self.leash {
            self.signal(signal);
        }
    }
}

/// What we read of `/proc/<pid>/stat`; see proc_pid_stat(5).
struct Stat {
    pid: i32,
    /// A zombie whose other threads are gone too: killed, the first thread may go before those that
    /// keep the sockets open.
    ended: bool,
    began: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field, the program's name in brackets, may hold anything, brackets and spaces
    /// too.
    fn parse(line: &str) -> Option<Self> {
        let (pid, _) = line.split_once(' ')?;
        let (_, rest) = line.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let threads: u32 = fields.nth(16)?.parse().ok()?;
        let began = fields.nth(1)?;
        Some(Self {
            pid: pid.parse().ok()?,
            ended: matches!(state, "Z" | "X") && threads <= 1,
            began: began.trim().parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_of_another_start_is_not_adopted() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("process");
        let line = fs::read_to_string("/proc/self/stat").unwrap();
        fs::write(&record, &line).unwrap();
        assert!(Process::recorded(&record, None).is_some());

        let began = Stat::parse(&line).unwrap().began;
        fs::write(&record, line.replace(&format!(" {began} "), &format!(" {} ", began + 1)))
            .unwrap();
        assert!(Process::recorded(&record, None).is_none());
    }

    #[tokio::test]
    async fn a_process_is_there_until_it_is_collected() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("process");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        fs::write(&record, fs::read_to_string(format!("/proc/{pid}/stat")).unwrap()).unwrap();
        let ended = async {
            while !Stat::read(pid).unwrap().ended {
                sleep(GLANCE).await;
            }
        };
        ended.await;
        assert!(timeout(GLANCE, Process::is_gone(&record)).await.is_err());
        child.wait().unwrap();
        Process::is_gone(&record).await;
        assert!(Stat::read(pid).is_none_or(|stat| !stat.ended));
    }

    #[test]
    fn a_program_name_with_brackets_and_spaces_does_not_confuse() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.pid, stat.began, stat.ended), (42, 98765, false));
    }

    #[test]
    fn a_zombie_with_living_threads_has_not_ended() {
        let zombie = |threads: u32| {
            let line =
                format!("42 (java) Z 1 42 42 0 -1 0 1 0 0 0 0 0 0 0 20 0 {threads} 0 98765 1 1");
            Stat::parse(&line).unwrap().ended
        };
        assert!(zombie(1));
        assert!(!zombie(3));
    }
}
