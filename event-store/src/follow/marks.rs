use crate::{Log, Progress, Watermark};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How far one follower has come in one log, as it says after each step and as others see it.
pub(super) struct Marks {
    /// `orders/payments`
    name: String,
    log: Log,
    /// The next offset of each partition; none while another process works it.
    next: Vec<AtomicI64>,
    /// One for each partition: seven that move must not hide one that hangs.
    watermarks: Mutex<Vec<Watermark>>,
}

const ELSEWHERE: i64 = -1;

impl Marks {
    pub(super) fn new(follower: &str, log: &Log) -> Self {
        Marks {
            name: format!("{follower}/{}", log.service()),
            log: log.clone(),
            next: (0..log.partitions()).map(|_| AtomicI64::new(ELSEWHERE)).collect(),
            watermarks: Mutex::new((0..log.partitions()).map(|_| Watermark::default()).collect()),
        }
    }

    pub(super) fn set(&self, partition: i32, next: Option<i64>) {
        let next = next.unwrap_or(ELSEWHERE);
        self.next[crate::append::index(partition)].store(next, Ordering::Relaxed);
    }

    pub(super) fn look(&self) -> Progress {
        let heads = self.log.known_heads().borrow().clone();
        let mut watermarks = self.watermarks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut progress = Progress { name: self.name.clone(), behind: 0, still: Duration::ZERO };
        for ((next, head), watermark) in self.next.iter().zip(heads).zip(watermarks.iter_mut()) {
            let next = next.load(Ordering::Relaxed);
            let behind = if next == ELSEWHERE { 0 } else { (head - next).max(0) };
            progress.behind += behind;
            progress.still = progress.still.max(watermark.look(next, behind));
        }
        progress
    }
}
