use std::time::Duration;

/// The pauses between tries: each is twice the one before, up to the longest.
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Backoff { first, most, next: first.min(most) }
    }

    /// The pause after one more failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.most);
        pause
    }

    /// After something that went well.
    pub(crate) fn reset(&mut self) {
        self.next = self.first.min(self.most);
    }
}
