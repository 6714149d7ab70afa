//! What changes without a restart.
//!
//! One reloader hears SIGHUP and notices changed files: the settings file and every file that the settings name. It reads
//! all of them again, makes of them whatever the parts are to be told, and tells them only if all of it is good; else
//! everything stays as it was, and that is said. One thing waits for nothing: what was trusted and is withdrawn.
//!
//! Files are looked at now and then rather than watched. A secret that is mounted into a container changes with the link
//! `..data` in a folder that nobody named, and over a network or into a container there may come no word of a change at all;
//! a look at a dozen files costs nothing.

mod parts;
mod seen;
mod standing;

pub(crate) use parts::Parts;

use std::mem::replace;
use std::path::PathBuf;

use anyhow::Result;
use edge::Health;
use parts::{News, Told};
use seen::Seen;
use standing::Standing;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::access;
use crate::settings::{Loaded, ServeFlags, Settings};

pub(crate) struct Reloader {
    flags: ServeFlags,
    in_force: Loaded,
    /// The files as they were when they were read last, whatever came of that.
    read: Seen,
    /// Those of which the connections to other services were made. They are not made again for less.
    lines: Seen,
    hangups: Option<Signal>,
}

impl Reloader {
    /// Reads the settings for the first time.
    pub(crate) fn begin(flags: ServeFlags) -> Result<Self> {
        // What is heard from now on is done later; unheard it would end the process.
        let hangups = signal(SignalKind::hangup()).ok();
        // Before the file is read: what changes meanwhile is read again.
        let (read, lines) = (Seen::of([flags.file()]), Seen::default());
        let in_force = Loaded::of_this_process(&flags)?;
        Ok(Reloader { flags, in_force, read, lines, hangups })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.in_force.settings
    }

    /// To be told before the files that the settings name are read.
    pub(crate) fn watch_named(&mut self) {
        self.read.add(named(&self.in_force.settings));
        self.lines = Seen::of(self.in_force.settings.tls_files());
    }

    /// Until `stop`.
    pub(crate) async fn run(mut self, parts: Parts, health: Health, stop: CancellationToken) {
        let mut standing = Standing::begin(health);
        let mut last = self.read.clone();
        loop {
            let every = self.settings().limits.look();
            let was_told = tokio::select! {
                () = stop.cancelled() => return,
                () = told(&mut self.hangups) => true,
                () = sleep(every) => false,
            };
            let now = look_again(&self.read).await;
            // Whoever writes several files is let finish: all are the same at two looks before they are read.
            let is_settled = now == replace(&mut last, now.clone());
            if was_told || is_settled && now != self.read {
                match self.read_again(&parts).await {
                    Ok((news, files)) => {
                        let Told { loaded, differing, lines_of } = parts.tell(news);
                        (self.in_force, self.lines) = (loaded, lines_of);
                        standing.taken(&differing.taken.join(", "), &files, differing.waiting);
                    }
                    Err(error) => {
                        standing.refused(&format!("{error:#}"));
                        withdraw(&parts).await;
                    }
                }
                last = self.read.clone();
            }
        }
    }

    /// What is to be told, and which files have changed.
    async fn read_again(&mut self, parts: &Parts) -> Result<(News, String)> {
        let (flags, in_force) = (self.flags.clone(), self.in_force.clone());
        let (parts, lines) = (parts.clone(), self.lines.clone());
        let reading = spawn_blocking(move || {
            let mut seen = Seen::of([flags.file()]);
            seen.add(named(&in_force.settings));
            let news = Loaded::of_this_process(&flags).map_err(anyhow::Error::from);
            let news = news.and_then(|later| {
                // If one is missing it is looked for from now on.
                seen.add(named(&later.settings));
                access::check(&later.settings)?;
                parts.read(&in_force, &later, &lines)
            });
            (seen, news)
        });
        let (seen, news) = reading.await?;
        let files = seen.changed_since(&self.read);
        self.read = seen;
        Ok((news?, files))
    }
}

/// Who was to lose something does not keep it because something else is not good.
async fn withdraw(parts: &Parts) {
    let access = parts.access.clone();
    if spawn_blocking(move || access.withdraw()).await.unwrap_or(false) {
        tracing::warn!("keys or issuers that were withdrawn are not trusted any more");
    }
}

/// Every file that the settings name and that may change.
fn named(settings: &Settings) -> Vec<PathBuf> {
    let shown = settings.tls_files().chain(settings.kafka_files()).map(ToOwned::to_owned);
    shown.chain(access::files(settings)).collect()
}

async fn look_again(seen: &Seen) -> Seen {
    let (before, seen) = (seen.clone(), seen.clone());
    spawn_blocking(move || seen.again()).await.unwrap_or(before)
}

/// Without signals it is never told.
async fn told(hangups: &mut Option<Signal>) {
    if let Some(hangups) = hangups
        && hangups.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}
