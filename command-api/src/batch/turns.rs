use std::collections::HashMap;
use tokio::sync::oneshot::{self, error::TryRecvError};

/// Who comes after whom: those of one stream in the order in which they took their turns.
#[derive(Default)]
pub(super) struct Turns(HashMap<String, oneshot::Receiver<()>>);

/// It ends when it is dropped.
pub(super) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _ends: Option<oneshot::Sender<()>>,
}

/// More streams than these are not remembered once their turns have ended.
const REMEMBERED: usize = 1_024;

impl Turns {
    pub(super) fn take(&mut self, stream: Option<String>) -> Turn {
        let Some(stream) = stream else { return Turn { before: None, _ends: None } };
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, last| last.try_recv() == Err(TryRecvError::Empty));
        }
        let (ends, ended) = oneshot::channel();
        let before = self.0.insert(stream, ended);
        Turn { before, _ends: Some(ends) }
    }
}

impl Turn {
    /// Waits for the one before.
    pub(super) async fn come(&mut self) {
        if let Some(before) = self.before.take() {
            // Its end is told by nobody being there any more.
            let _ = before.await;
        }
    }
}
