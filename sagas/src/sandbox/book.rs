//! The provider's own book: JSON lines, one per request that was carried out, appended and synced
//! before the answer leaves. At start it is read from the first line; a line that was being written
//! when the machine went down was never answered, and is cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use axum::http::StatusCode;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::fault::Fault;
use super::ledger::{Entry, Ledger, UnknownIntent};

/// The most lines that share one sync.
const BATCH: usize = 1_000;

/// Why a book cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("{path} cannot be opened, read or mended", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is another process's book", path = path.display())]
    InUse { path: PathBuf },
    #[error("line {line} of {path} is no entry: it was changed or damaged", path = path.display())]
    Damaged { path: PathBuf, line: usize, source: Box<dyn std::error::Error + Send + Sync> },
}

/// The disk refused a line; what was done is not known to be kept.
#[derive(Debug, thiserror::Error)]
#[error("the book can no longer be written")]
pub(super) struct Closed;

pub(super) struct Book {
    open: Mutex<Open>,
    /// How many lines are on the disk.
    synced: watch::Receiver<u64>,
    writer: Option<JoinHandle<()>>,
}

struct Open {
    ledger: Ledger,
    written: u64,
    /// Not bounded itself: it never holds more than one line per request in flight. None once closed.
    lines: Option<mpsc::Sender<Vec<u8>>>,
}

impl Book {
    pub(super) fn open(path: &Path) -> Result<Self, BookError> {
        let failed = |source| BookError::File { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path).map_err(failed)?;
        file.try_lock().map_err(|_| BookError::InUse { path: path.to_owned() })?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            tracing::warn!(path = %path.display(), "the book's last line is torn and is cut off");
            file.set_len(whole as u64).map_err(failed)?;
            file.seek(SeekFrom::End(0)).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        let ledger = replay(path, &text[..whole])?;
        let (lines, queue) = mpsc::channel();
        let (synced, watched) = watch::channel(0);
        let writer = std::thread::Builder::new()
            .name("sandbox-book".to_owned())
            .spawn(move || write(file, &queue, &synced))
            .map_err(failed)?;
        let open = Mutex::new(Open { ledger, written: 0, lines: Some(lines) });
        Ok(Self { open, synced: watched, writer: Some(writer) })
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.lock().ledger)
    }

    /// Changes the ledger and writes the line that says so. Only after [`Book::settled`] may anybody
    /// be told.
    pub(super) fn act(
        &self,
        act: impl FnOnce(&mut Ledger) -> Result<(Entry, StatusCode), Fault>,
    ) -> Result<(StatusCode, Box<RawValue>), Fault> {
        let mut open = self.lock();
        let (entry, status) = act(&mut open.ledger)?;
        let mut line = serde_json::to_vec(&entry).map_err(|_| Fault::internal())?;
        line.push(b'\n');
        open.ledger.keep(&entry);
        open.written += 1;
        if let Some(lines) = &open.lines {
            // A writer that is gone is noticed by whoever waits for the line to be synced.
            lines.send(line).ok();
        }
        Ok((status, entry.body))
    }

    /// Waits until everything that the ledger says is on the disk.
    pub(super) async fn settled(&self) -> Result<(), Closed> {
        let written = self.lock().written;
        let mut synced = self.synced.clone();
        synced.wait_for(|&synced| synced >= written).await.map(|_| ()).map_err(|_| Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        self.lock().lines = None;
        if let Some(writer) = self.writer.take() {
            // Only a panic in the writer could be lost here, and it has been reported already.
            writer.join().ok();
        }
    }
}

fn replay(path: &Path, text: &[u8]) -> Result<Ledger, BookError> {
    let mut ledger = Ledger::default();
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        let damaged =
            |source| BookError::Damaged { path: path.to_owned(), line: number + 1, source };
        let entry: Entry = serde_json::from_slice(line).map_err(|error| damaged(error.into()))?;
        ledger.post(&entry).map_err(|error: UnknownIntent| damaged(error.into()))?;
    }
    Ok(ledger)
}

/// Writes what is queued, with one sync for all that queued during the last one.
fn write(mut file: File, queue: &mpsc::Receiver<Vec<u8>>, synced: &watch::Sender<u64>) {
    while let Ok(first) = queue.recv() {
        let mut batch = first;
        let mut count = 1;
        for line in queue.try_iter().take(BATCH - 1) {
            batch.extend_from_slice(&line);
            count += 1;
        }
        if let Err(error) = file.write_all(&batch).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "the sandbox's book cannot be written; nothing more is answered");
            return;
        }
        synced.send_modify(|synced| *synced += count);
    }
}
