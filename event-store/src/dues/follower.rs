use super::DueLimits;
use crate::append::JsonText;
use crate::follow::{ApplyError, Follower, ReadSide};
use crate::{Log, Recorded, StoreError};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use decider::{Due, Owes};
use quick_cache::sync::Cache;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Folds a decider's own log event by event, and posts what is pending after each.
pub struct DueFollower<D: Owes> {
    name: String,
    log: Log,
    read: ReadSide,
    /// States of its own, each with its version; never those of the write side, which may be ahead.
    states: Cache<String, (i64, D::State)>,
    posted: Arc<Notify>,
    /// Whether the batch under way adds dues.
    owing: AtomicBool,
}

const DELETE: &str = "delete from {schema}.due d \
     using (select unnest($1::text[]) as stream, unnest($2::text[]) as key) gone \
     where d.stream = gone.stream and d.key = gone.key";
const INSERT: &str = "insert into {schema}.due (stream, key, request, correlation, causation, due_at) \
     select unnest($1::text[]), unnest($2::text[]), unnest($3::json[]), unnest($4::text[]), \
            unnest($5::uuid[]), unnest($6::timestamptz[]) on conflict do nothing";

/// What a batch leaves of a key.
enum Change {
    Settled,
    Owed { request: String, correlation: String, causation: Uuid, due_at: DateTime<Utc> },
}

type Changes = BTreeMap<(String, String), Change>;

impl<D: Owes> DueFollower<D> {
    /// There is only ever one: what is due is not posted a second time beside what is due already.
    pub const GENERATION: i32 = 0;

    /// Its name among those who follow.
    #[must_use]
    pub fn called() -> String {
        format!("{}-dues", D::CATEGORY)
    }

    #[must_use]
    pub fn new(log: Log, read: ReadSide) -> Self {
        Self::limited(log, read, &DueLimits::default())
    }

    /// The same with other bounds.
    #[must_use]
    pub fn limited(log: Log, read: ReadSide, limits: &DueLimits) -> Self {
        let name = Self::called();
        let states = Cache::new(limits.states);
        DueFollower {
            name,
            log,
            read,
            states,
            posted: Arc::default(),
            owing: AtomicBool::new(false),
        }
    }

    /// Told after each commit: what a [`DueWorker`](super::DueWorker) waits for.
    #[must_use]
    pub fn posted(&self) -> Arc<Notify> {
        self.posted.clone()
    }

    /// The state before an event: kept from the last batch, or folded from the log.
    async fn before(&self, event: &Recorded) -> Result<D::State, ApplyError> {
        let before = event.version - 1;
        if before == 0 {
            return Ok(D::State::default());
        }
        if let Some((version, state)) = self.states.remove(&event.stream).map(|(_, kept)| kept)
            && version == before
        {
            return Ok(state);
        }
        let mut state = D::State::default();
        let mut version = 0;
        while version < before {
            let page = self.log.read_stream(&event.stream, version, (before - version).min(1_000));
            let page = page.await?;
            if page.is_empty() {
                // Kafka brought what the log has lost since. To fold on is impossible, to wait right:
                // the next step reads from the log.
                let at = event.position();
                return Err(ApplyError::Transient(format!("the log lacks what precedes {at}")));
            }
            for earlier in page {
                state = D::evolve(state, &earlier.decode::<D::Event>()?);
                version = earlier.version;
            }
        }
        Ok(state)
    }

    async fn changes(&self, batch: &[Arc<Recorded>]) -> Result<Changes, ApplyError> {
        let mut changes = Changes::new();
        let mut states: HashMap<&str, D::State> = HashMap::new();
        let mut versions: HashMap<&str, i64> = HashMap::new();
        let ours = |event: &&Arc<Recorded>| {
            event.stream.strip_prefix(D::CATEGORY).is_some_and(|rest| rest.starts_with('-'))
        };
        for event in batch.iter().filter(ours) {
            let state = match states.remove(event.stream.as_str()) {
                Some(state) => state,
                None => self.before(event).await?,
            };
            let before = D::pending(&state);
            let state = D::evolve(state, &event.decode::<D::Event>()?);
            note(&mut changes, event, &before, &D::pending(&state))?;
            states.insert(&event.stream, state);
            versions.insert(&event.stream, event.version);
        }
        for (stream, state) in states {
            let version = versions.get(stream).copied().unwrap_or_default();
            self.states.insert(stream.to_owned(), (version, state));
        }
        Ok(changes)
    }
}

/// What one event adds to what is owed, and what it settles.
fn note<R: serde::Serialize>(
    changes: &mut Changes,
    event: &Recorded,
    before: &[Due<R>],
    after: &[Due<R>],
) -> Result<(), ApplyError> {
    // By sets: a checkout may owe a request for each of a thousand lines.
    let known: HashSet<&str> = before.iter().map(|due| &*due.key).collect();
    let still: HashSet<&str> = after.iter().map(|due| &*due.key).collect();
    for gone in before.iter().filter(|due| !still.contains(&*due.key)) {
        changes.insert((event.stream.clone(), gone.key.clone()), Change::Settled);
    }
    for due in after.iter().filter(|due| !known.contains(&*due.key)) {
        let owed = Change::Owed {
            request: serde_json::to_string(&due.request).map_err(StoreError::from)?,
            correlation: event.metadata.correlation.clone(),
            causation: event.event_id,
            due_at: due_at(event.recorded_at, due.delay),
        };
        changes.insert((event.stream.clone(), due.key.clone()), owed);
    }
    Ok(())
}

/// A delay that leads past the calendar's end is never due.
fn due_at(owed_at: DateTime<Utc>, delay: Duration) -> DateTime<Utc> {
    let delay = chrono::Duration::from_std(delay).ok();
    delay.and_then(|d| owed_at.checked_add_signed(d)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[async_trait]
impl<D: Owes> Follower for DueFollower<D> {
    fn name(&self) -> &str {
        &self.name
    }

    fn logs(&self) -> Vec<String> {
        vec![self.log.service().to_string()]
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        let changes = self.changes(batch).await?;
        let (mut gone_stream, mut gone_key) = (Vec::new(), Vec::new());
        let (mut stream, mut key, mut json) = (Vec::new(), Vec::new(), Vec::new());
        let (mut correlations, mut causations, mut due_ats) = (Vec::new(), Vec::new(), Vec::new());
        for ((of, name), change) in &changes {
            match change {
                Change::Settled => {
                    gone_stream.push(of.as_str());
                    gone_key.push(name.as_str());
                }
                Change::Owed { request, correlation, causation, due_at } => {
                    stream.push(of.as_str());
                    key.push(name.as_str());
                    json.push(JsonText(request.as_str()));
                    correlations.push(correlation.as_str());
                    causations.push(*causation);
                    due_ats.push(*due_at);
                }
            }
        }
        let sql = |text: &str| text.replace("{schema}", &self.read.schema);
        if !gone_key.is_empty() {
            let delete = tx.prepare_cached(&sql(DELETE)).await?;
            tx.execute(&delete, &[&gone_stream, &gone_key]).await?;
        }
        if !key.is_empty() {
            self.owing.store(true, Ordering::Relaxed);
            let insert = tx.prepare_cached(&sql(INSERT)).await?;
            tx.execute(&insert, &[&stream, &key, &json, &correlations, &causations, &due_ats])
                .await?;
        }
        Ok(())
    }

    fn committed(&self) {
        metrics::gauge!("daybook_due_states", "category" => D::CATEGORY)
            .set(self.states.len() as f64);
        // Most batches only settle.
        if self.owing.swap(false, Ordering::Relaxed) {
            self.posted.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_past_the_end_of_the_calendar_is_no_panic() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(due_at(now, Duration::from_secs(1)).timestamp(), 1);
        for delay in [Duration::MAX, Duration::from_secs(60 * 60 * 24 * 365 * 300_000)] {
            assert_eq!(due_at(now, delay), DateTime::<Utc>::MAX_UTC);
        }
    }
}
