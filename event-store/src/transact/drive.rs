//! The task that works off a stream's queue while there is one.

use super::decide::{Distinct, answers, decide};
use super::folded::{CONTENDED, Folded};
use super::{Answer, Done, Inner, TransactError, Waiting, unreadable};
use crate::turn::Turn;
use crate::{AppendError, Verdict};
use decider::Decider;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Who works off the queue of a stream. A decider that panics must not leave the stream without one:
/// whoever waits is told that the outcome is unknown, and the next command starts another.
struct Driver<'a, D: Decider> {
    inner: &'a Inner<D>,
    stream: &'a str,
    under_way: usize,
    finished: bool,
}

impl<D: Decider> Drop for Driver<'_, D> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut queues = self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let left = queues.remove(self.stream).map_or(0, |queue| queue.len());
        self.inner.queued.fetch_sub(self.under_way + left, Ordering::Relaxed);
    }
}

/// Works off the queue of a stream, and takes it away when it is empty.
pub(super) async fn drive<D: Decider>(inner: Arc<Inner<D>>, stream: String) {
    let mut driver = Driver { inner: &inner, stream: &stream, under_way: 0, finished: false };
    let mut cached = inner.cache.remove(&stream).map(|(_, folded)| folded);
    let mut turn: Option<Turn> = None;
    loop {
        if let Some(over) = turn.take_if(|turn| turn.is_over()) {
            over.end().await;
        }
        let mut taken = inner.take(&stream);
        if taken.is_empty()
            && let Some(held) = turn.take()
        {
            // Who was just answered may ask for more.
            tokio::time::sleep(LINGER).await;
            taken = inner.take(&stream);
            if taken.is_empty() {
                held.end().await;
            } else {
                turn = Some(held);
            }
        }
        if taken.is_empty() {
            if let Some(folded) = cached.take() {
                inner.cache.insert(stream.clone(), folded);
            }
            // A command may have come after the last look: then the queue is still there.
            if inner.leave(&stream) {
                driver.finished = true;
                return;
            }
            cached = inner.cache.remove(&stream).map(|(_, folded)| folded);
            continue;
        }
        metrics::histogram!("daybook_transact_chain_commands").record(taken.len() as f64);
        driver.under_way = taken.len();
        cached = inner.settle(&stream, cached, &mut turn, taken).await;
        inner.queued.fetch_sub(driver.under_way, Ordering::Relaxed);
        driver.under_way = 0;
    }
}

impl<D: Decider> Inner<D> {
    fn take(&self, stream: &str) -> Vec<Waiting<D>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.get_mut(stream).map_or_else(Vec::new, |queue| {
            let count = queue.len().min(self.limits.chain);
            queue.drain(..count).collect()
        })
    }

    /// Takes the queue away if it is empty.
    fn leave(&self, stream: &str) -> bool {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = queues.get(stream).is_none_or(std::collections::VecDeque::is_empty);
        if empty {
            queues.remove(stream);
        }
        empty
    }

    /// Answers every command of a batch; returns the state it leaves, where that is known.
    async fn settle(
        &self,
        stream: &str,
        mut cached: Option<Folded<D>>,
        turn: &mut Option<Turn>,
        taken: Vec<Waiting<D>>,
    ) -> Option<Folded<D>> {
        if cached.is_none() && taken.first().is_some_and(|first| D::begins(&first.command)) {
            cached = Some(Folded::nothing(self.log.epoch_of(stream)));
        }
        let mut batches = vec![Distinct::of(taken)];
        let mut conflicts = 0;
        let mut kept: Option<Folded<D>> = None;
        while let Some(batch) = batches.pop() {
            let of_now = |folded: &Folded<D>| folded.epoch == self.log.epoch_of(stream);
            let known = cached.take().or(kept.take()).filter(of_now);
            let is_contended = conflicts > 0 || known.as_ref().is_some_and(|it| it.contended > 0);
            let mut behind = conflicts > 0;
            if is_contended && turn.is_none() {
                *turn = self.log.turn(stream).await;
                behind = true;
            }
            let folded = match known {
                Some(folded) if behind => self.catch_up(stream, folded).await,
                Some(folded) => Ok(folded),
                None => self.load(stream).await,
            };
            let mut folded = match folded {
                Ok(folded) => folded,
                Err(error) => {
                    fail_all(batch, &unreadable(error));
                    continue;
                }
            };
            if conflicts > 0 {
                folded.contended = CONTENDED;
                // Whoever has no turn may be faster once more, and this would fall ever further behind.
                kept = Some(folded.clone());
            }
            let (epoch, before) = (folded.epoch, (folded.version, folded.position.clone()));
            let (chain, decided, mut after) = decide(stream, folded, &batch);
            match self.log.append_in(Some(epoch), chain).await {
                Ok(outcome) if outcome.verdicts.iter().all(|v| matches!(v, Verdict::Ok { .. })) => {
                    let (answers, last) =
                        answers::<D>(&self.log, stream, &outcome, decided, before);
                    let answered = batch.into_iter().zip(&answers);
                    let again = answered.flat_map(|(distinct, answer)| distinct.answer(answer));
                    batches.extend(Distinct::some_of(again));
                    after.position = last;
                    if let Some(snapshots) = &self.snapshots {
                        snapshots.offer(stream, &mut after);
                    }
                    cached = Some(after);
                }
                Ok(outcome) => {
                    let again = self.answer_already(stream, batch, &outcome.verdicts).await;
                    let fell =
                        outcome.verdicts.iter().any(|v| matches!(v, Verdict::Conflict { .. }));
                    if fell {
                        conflicts += 1;
                        metrics::counter!("daybook_transact_conflicts_total").increment(1);
                    }
                    if conflicts > self.limits.conflicts {
                        fail_all(again, &TransactError::Busy);
                    } else if !again.is_empty() {
                        pause(conflicts / FAIR, stream).await;
                        batches.push(again);
                    }
                }
                // The lost append can never commit; what it decided on may be gone. Decide afresh.
                Err(AppendError::Epoch) if conflicts <= self.limits.conflicts => {
                    conflicts += 1;
                    pause(conflicts, stream).await;
                    batches.push(batch);
                }
                // One command of the chain is to blame: each alone, in their order.
                Err(AppendError::Data(_) | AppendError::TooLarge { .. }) if batch.len() > 1 => {
                    batches.extend(batch.into_iter().rev().map(|one| vec![one]));
                }
                Err(error @ (AppendError::Data(_) | AppendError::TooLarge { .. })) => {
                    let answer = Err(error.into());
                    let again = batch.into_iter().flat_map(|one| one.answer(&answer));
                    batches.extend(Distinct::some_of(again));
                }
                Err(error) => fail_all(batch, &error.into()),
            }
        }
        cached
    }

    /// Answers those commands that are in the log already; returns the others.
    async fn answer_already(
        &self,
        stream: &str,
        batch: Vec<Distinct<D>>,
        verdicts: &[Verdict],
    ) -> Vec<Distinct<D>> {
        let mut again = Vec::new();
        let mut others = Vec::new();
        for (distinct, verdict) in batch.into_iter().zip(verdicts) {
            if let Verdict::Already { version, fingerprint, .. } = verdict {
                let id = distinct.command_id();
                let asked = distinct.first.envelope.fingerprint.clone();
                let answer = self
                    .receipt(stream, id, *version, fingerprint.as_deref(), asked.as_deref())
                    .await
                    .map_err(|error| unanswerable(stream, error));
                others.extend(distinct.answer(&answer));
            } else {
                again.push(distinct);
            }
        }
        again.extend(Distinct::of(others));
        again
    }

    /// The first answer to a command, rebuilt from its events.
    pub(super) async fn receipt(
        &self,
        stream: &str,
        command_id: Uuid,
        version: i64,
        stored: Option<&str>,
        asked: Option<&str>,
    ) -> Answer<D> {
        if stored != asked {
            return Err(TransactError::OtherBody);
        }
        let mut done =
            Done { stream: stream.to_owned(), version, events: Vec::new(), position: None };
        let mut after = version - 1;
        loop {
            let page = self.log.read_stream(stream, after, 16).await.map_err(unreadable)?;
            for event in &page {
                if event.command_id != command_id {
                    return Ok(done);
                }
                done.version = event.version;
                done.position = Some(event.position());
                done.events.push(event.event_type.clone());
                after = event.version;
            }
            if page.len() < 16 {
                return Ok(done);
            }
        }
    }
}

/// What to say of a command that is in the log, when its answer cannot be read from it.
fn unanswerable<R: std::error::Error>(stream: &str, error: TransactError<R>) -> TransactError<R> {
    let TransactError::Store(why) = error else { return error };
    tracing::warn!(stream, error = why, "the answer to a command cannot be read from the log");
    TransactError::OutcomeUnknown
}

fn fail_all<D: Decider>(batch: Vec<Distinct<D>>, error: &TransactError<D::Rejection>) {
    for distinct in batch {
        distinct.fail(error);
    }
}

/// Until who was answered in a turn has asked for more.
const LINGER: Duration = Duration::from_millis(1);
/// Conflicts after which the next try comes at once: it has waited for its turn.
const FAIR: u32 = 16;

/// Grows with each conflict, and differs between the processes that fight for a stream.
async fn pause(conflicts: u32, stream: &str) {
    if conflicts == 0 {
        return;
    }
    let most = 1u64 << conflicts.min(6);
    let jitter = u64::from(std::process::id()).wrapping_mul(2_654_435_761)
        ^ (stream.len() as u64).wrapping_mul(u64::from(conflicts) * 40_503);
    tokio::time::sleep(Duration::from_millis(jitter % most + most / 2)).await;
}
