use super::Source;
use crate::{Position, Progress, Watermark};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How far one follower has come in one log, as it says after each step and as others see it.
pub(super) struct Marks {
    pub(super) follower: String,
    pub(super) generation: i32,
    log: Source,
    /// One for each partition: seven that move must not hide one that hangs.
    parts: Mutex<Vec<Part>>,
    /// Told of every move.
    moved: Arc<watch::Sender<()>>,
    /// Somebody waits.
    asked: Notify,
}

#[derive(Clone, Copy, Default)]
struct Part {
    /// None while another process works it.
    at: Option<Mark>,
    watermark: Watermark,
    /// The offset behind the last event that somebody waits for, since it was last looked at.
    wanted: i64,
}

/// How far a partition is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) epoch: i32,
    pub(super) next_offset: i64,
}

impl Marks {
    pub(super) fn new(
        (follower, generation): (&str, i32),
        log: &Source,
        moved: Arc<watch::Sender<()>>,
    ) -> Self {
        let parts = (0..log.partitions()).map(|_| Part::default()).collect();
        let (follower, log) = (follower.to_owned(), log.clone());
        let (parts, asked) = (Mutex::new(parts), Notify::new());
        Marks { follower, generation, log, parts, moved, asked }
    }

    pub(super) fn service(&self) -> &str {
        self.log.service()
    }

    pub(super) fn set(&self, partition: i32, at: Option<Mark>) {
        let part = &mut self.parts()[crate::append::index(partition)];
        if std::mem::replace(&mut part.at, at) != at {
            self.moved.send_replace(());
        }
    }

    /// Whether a position is posted; none if another process works its partition.
    pub(super) fn has_posted(&self, position: &Position) -> Option<bool> {
        let parts = self.parts();
        let at = parts.get(usize::try_from(position.partition).ok()?)?.at?;
        Some(position.offset < at.next_offset && position.epoch <= at.epoch)
    }

    /// Somebody waits for a position.
    pub(super) fn hurry(&self, position: &Position) {
        let at = usize::try_from(position.partition).unwrap_or(usize::MAX);
        if let Some(part) = self.parts().get_mut(at) {
            part.wanted = part.wanted.max(position.offset.saturating_add(1));
        }
        self.asked.notify_one();
    }

    /// Until somebody waits for what is not posted yet. Whoever still does after the next step says so again: one step
    /// serves all, and who waits for what never comes hurries nobody for longer than he waits.
    pub(super) async fn hurried(&self) {
        while !self.take_wanted() {
            self.asked.notified().await;
        }
    }

    fn take_wanted(&self) -> bool {
        let mut parts = self.parts();
        let wanted = parts.iter_mut().map(|part| {
            let wanted = std::mem::take(&mut part.wanted);
            part.at.is_some_and(|at| at.next_offset < wanted)
        });
        // Each is taken, whatever is said of those before it.
        wanted.fold(false, |any, wanted| any | wanted)
    }

    pub(super) fn look(&self) -> Progress {
        let heads = self.log.known_heads().borrow().clone();
        // `orders/payments`
        let name = format!("{}/{}", self.follower, self.log.service());
        let mut progress = Progress { name, behind: 0, still: Duration::ZERO };
        for (part, head) in self.parts().iter_mut().zip(heads) {
            let behind = part.at.map_or(0, |at| (head - at.next_offset).max(0));
            let next = part.at.map_or(-1, |at| at.next_offset);
            progress.behind += behind;
            progress.still = progress.still.max(part.watermark.look(next, behind));
        }
        progress
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
