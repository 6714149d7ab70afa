use crate::{Log, Progress, Watermark};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How far one follower has come in one log, as it says after each step and as others see it.
pub(super) struct Marks {
    /// `orders/payments`
    name: String,
    log: Log,
    /// The next offset of each partition; none while another process works it.
    next: Vec<AtomicI64>,
    watermark: Mutex<Watermark>,
}

const ELSEWHERE: i64 = -1;

impl Marks {
    pub(super) fn new(follower: &str, log: &Log) -> Self {
        Marks {
            name: format!("{follower}/{}", log.service()),
            log: log.clone(),
            next: (0..log.partitions()).map(|_| AtomicI64::new(ELSEWHERE)).collect(),
            watermark: Mutex::default(),
        }
    }

    pub(super) fn set(&self, partition: i32, next: Option<i64>) {
        let next = next.unwrap_or(ELSEWHERE);
        self.next[crate::append::index(partition)].store(next, Ordering::Relaxed);
    }

    pub(super) fn look(&self) -> Progress {
        let heads = self.log.known_heads().borrow().clone();
        let (mut at, mut behind) = (0, 0);
        for (next, head) in self.next.iter().zip(heads) {
            let next = next.load(Ordering::Relaxed);
            if next != ELSEWHERE {
                at += next;
                behind += (head - next).max(0);
            }
        }
        let mut watermark = self.watermark.lock().unwrap_or_else(PoisonError::into_inner);
        Progress { name: self.name.clone(), behind, still: watermark.look(at, behind) }
    }
}
