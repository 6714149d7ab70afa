//! What waits for a lane.

use super::LaneSettings;
use crate::{AppendError, Chain, ChainOutcome};
use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) struct Job {
    pub(crate) partition: i32,
    /// In which the chain was decided, if that matters.
    pub(crate) epoch: Option<i32>,
    pub(crate) chain: Chain,
    pub(crate) answer: oneshot::Sender<Result<ChainOutcome, AppendError>>,
}

pub(super) struct Queue {
    batch: usize,
    batch_bytes: usize,
    receive: mpsc::Receiver<Job>,
    /// Second chains of a stream in a batch, and what was too much for it: first in the next one.
    held: VecDeque<Job>,
    stop: CancellationToken,
}

impl Queue {
    pub(super) fn new(
        settings: &LaneSettings,
        receive: mpsc::Receiver<Job>,
        stop: CancellationToken,
    ) -> Self {
        let (batch, batch_bytes) = (settings.batch, settings.batch_bytes);
        Queue { batch, batch_bytes, receive, held: VecDeque::new(), stop }
    }

    /// Whatever is queued, up to the batch's limits, each stream once. None: closed and empty.
    pub(super) async fn next_batch(&mut self) -> Option<Vec<Job>> {
        if self.stop.is_cancelled() {
            // Here too, because where there is always something queued nobody waits for the token.
            self.receive.close();
        }
        let mut arrived = Vec::new();
        let room = self.batch.saturating_sub(self.held.len());
        if self.held.is_empty() {
            tokio::select! {
                biased;
                taken = self.receive.recv_many(&mut arrived, room) => if taken == 0 { return None },
                () = self.stop.cancelled() => {
                    self.receive.close();
                    if self.receive.recv_many(&mut arrived, room).await == 0 { return None }
                }
            }
        } else {
            while arrived.len() < room {
                let Ok(job) = self.receive.try_recv() else { break };
                arrived.push(job);
            }
        }
        self.held.extend(arrived);
        let mut streams = HashSet::new();
        let mut bytes = 0;
        let mut batch = Vec::with_capacity(self.held.len());
        let mut later = VecDeque::new();
        for job in std::mem::take(&mut self.held) {
            let fits = batch.is_empty() || bytes + job.chain.bytes() <= self.batch_bytes;
            if fits && streams.insert(job.chain.stream.clone()) {
                bytes += job.chain.bytes();
                batch.push(job);
            } else {
                // A later chain of the same stream must not overtake this one.
                streams.insert(job.chain.stream.clone());
                later.push_back(job);
            }
        }
        self.held = later;
        Some(batch)
    }

    /// Refuses what waits too long for the batch before it, of which nothing was sent. Never ends.
    pub(super) async fn turn_away(&mut self, after: Duration) -> Infallible {
        tokio::time::sleep(after).await;
        let away = AppendError::Away("the append before it is not answered".into());
        refuse(self.held.drain(..), &away);
        while let Some(job) = self.receive.recv().await {
            refuse([job], &away);
        }
        std::future::pending().await
    }
}

pub(super) fn refuse(jobs: impl IntoIterator<Item = Job>, error: &AppendError) {
    for job in jobs {
        if matches!(error, AppendError::Away(_)) {
            metrics::counter!("daybook_append_turned_away_total").increment(1);
        }
        // Whoever went away is not told.
        let _ = job.answer.send(Err(error.clone()));
    }
}
