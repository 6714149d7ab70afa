//! A lane: one connection that appends. It takes whatever queued while its last batch committed, and sends it as one
//! call: group commit without a timer.

mod queue;

pub(crate) use queue::{Job, Queue, QueueLimits};

use crate::append::{Call, ChainOutcome, Statements, index};
use crate::backoff::Backoff;
use crate::error::{of_the_data, transient};
use crate::failpoint::failpoint;
use crate::log::{Epochs, Heads, LogSettings};
use crate::tail::Tail;
use crate::{AppendError, Chain, Database, StoreError, Verdict};
use queue::{Share, refuse};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::error::Severity;

pub(crate) struct LaneSettings {
    service: String,
    database: Database,
    call_timeout: Duration,
    patience: Duration,
    retry_first: Duration,
    retry_most: Duration,
    lock_wait: Duration,
}

impl LaneSettings {
    pub(crate) fn of(log: &LogSettings) -> Self {
        LaneSettings {
            service: log.service.clone(),
            database: log.database.clone(),
            call_timeout: log.call_timeout,
            patience: log.patience,
            retry_first: log.retry_first,
            retry_most: log.retry_most,
            lock_wait: log.lock_wait,
        }
    }
}

pub(crate) struct Lane {
    share: Share,
    line: Line,
}

/// The lane's connection, and what it tells.
struct Line {
    settings: LaneSettings,
    heads: Heads,
    epochs: Epochs,
    tail: Tail,
    session: Option<Session>,
    /// How many all lanes had had when the last call was sent.
    sessions: u32,
    /// Since when no call was answered.
    failing: Option<Instant>,
}

struct Session {
    client: Client,
    statements: Statements,
    epochs: Vec<i32>,
}

impl Session {
    /// Not if it is lost, or older than an epoch that someone else has learned of: it would append nothing.
    fn is_fit_for(&self, jobs: &[Job]) -> bool {
        let knows = |job: &Job| job.epoch <= Some(self.epochs[index(job.partition)]);
        !self.client.is_closed() && jobs.iter().all(knows)
    }
}

/// Why a batch was not appended.
enum Failure {
    /// It may pass later.
    Away(String),
    Epoch,
    Data(String),
    Statement(String),
}

/// How a try ended that did not append.
enum Tried {
    Failed(Failure),
    /// It may be in the log, or yet come to be.
    Unknown,
}

impl Lane {
    pub(crate) fn new(
        settings: LaneSettings,
        (heads, epochs, tail): (Heads, Epochs, Tail),
        queue: &Queue,
        number: usize,
    ) -> Self {
        let line =
            Line { settings, heads, epochs, tail, session: None, sessions: 0, failing: None };
        Lane { share: queue.of_lane(number), line }
    }

    pub(crate) async fn run(self) {
        let Lane { mut share, mut line } = self;
        let patience = line.settings.patience;
        metrics::counter!("daybook_append_resent_total").increment(0);
        metrics::counter!("daybook_append_turned_away_total").increment(0);
        while let Some(batch) = share.next_batch().await {
            metrics::histogram!("daybook_append_batch_chains").record(batch.len() as f64);
            let several = batch.len() > 1;
            let bytes: usize = batch.iter().map(|job| job.chain.bytes()).sum();
            metrics::histogram!("daybook_append_batch_bytes").record(bytes as f64);
            tokio::select! {
                () = line.append(batch) => {}
                never = share.turn_away(patience) => match never {},
            }
            share.done();
            if several {
                // Those who were just answered may have more, and a call costs nearly the same with it.
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Line {
    /// Appends a batch. What Postgres refuses for its data is halved until the culprit is alone.
    async fn append(&mut self, batch: Vec<Job>) {
        let mut rest = vec![batch];
        while let Some(mut jobs) = rest.pop() {
            match self.call(&jobs).await {
                Ok(outcomes) => self.answer(jobs, outcomes),
                Err(Failure::Data(_)) if jobs.len() > 1 => {
                    let half = jobs.split_off(jobs.len() / 2);
                    rest.push(half);
                    rest.push(jobs);
                }
                Err(Failure::Data(why)) => refuse(jobs, &AppendError::Data(why)),
                Err(Failure::Statement(why)) => refuse(jobs, &AppendError::Statement(why)),
                Err(Failure::Epoch) => refuse(jobs, &AppendError::Epoch),
                Err(Failure::Away(why)) => refuse(jobs, &AppendError::Away(why)),
            }
        }
    }

    /// Sends the batch until it is answered. A lost connection leaves the outcome unknown, and the lost
    /// call may still wait for its lock and commit later: so the identical batch is sent again, and its
    /// command ids tell what is in the log already. What certainly did nothing is given up after a while.
    async fn call(&mut self, jobs: &[Job]) -> Result<Vec<ChainOutcome>, Failure> {
        failpoint("append-before-call");
        let chains: Vec<_> = jobs.iter().map(|job| (job.partition, &job.chain)).collect();
        let mut retry = Backoff::new(self.settings.retry_first, self.settings.retry_most);
        let mut unknown = false;
        loop {
            match self.try_call(jobs, &chains).await {
                Err(Tried::Unknown) => unknown = true,
                Err(Tried::Failed(Failure::Away(why))) => {
                    let since = *self.failing.get_or_insert_with(Instant::now);
                    if !unknown && since.elapsed() >= self.settings.patience {
                        return Err(Failure::Away(why));
                    }
                }
                Err(Tried::Failed(failure)) => {
                    self.failing = None;
                    return Err(failure);
                }
                Ok(outcomes) => {
                    self.failing = None;
                    failpoint("append-after-commit");
                    return Ok(outcomes);
                }
            }
            metrics::counter!("daybook_append_resent_total").increment(1);
            tokio::time::sleep(retry.pause()).await;
        }
    }

    async fn try_call(
        &mut self,
        jobs: &[Job],
        chains: &[(i32, &Chain)],
    ) -> Result<Vec<ChainOutcome>, Tried> {
        let session = match self.session.take().filter(|session| session.is_fit_for(jobs)) {
            Some(session) => session,
            None => {
                let session = self.reach().await?;
                self.tail.begin_session();
                session
            }
        };
        self.epochs.raise(&session.epochs);
        let decided_before =
            |job: &Job| job.epoch.is_some_and(|e| e != session.epochs[index(job.partition)]);
        if jobs.iter().any(decided_before) {
            self.session = Some(session);
            return Err(Tried::Failed(Failure::Epoch));
        }
        let call = Call::new(chains, &session.epochs);
        self.sessions = self.tail.sessions();
        let running = call.run(&session.client, &session.statements);
        let answer = tokio::time::timeout(self.settings.call_timeout, running).await;
        match answer {
            Ok(Ok(answered)) => {
                self.session = Some(session);
                Ok(call.outcomes(chains, &answered))
            }
            Ok(Err(error)) => {
                let tried = tried(&error);
                // After a newer epoch the next session learns which one.
                if !error.is_closed() && !matches!(tried, Tried::Failed(Failure::Epoch)) {
                    self.session = Some(session);
                }
                if matches!(tried, Tried::Unknown | Tried::Failed(Failure::Away(_))) {
                    tracing::warn!(service = self.settings.service, error = %chain_of(&error),
                        "an append was not answered; the same is sent again");
                }
                Err(tried)
            }
            // The session is dropped with the call on it.
            Err(_elapsed) => Err(Tried::Unknown),
        }
    }

    async fn reach(&self) -> Result<Session, Tried> {
        let connecting = connect(&self.settings);
        let connected = tokio::time::timeout(self.settings.patience, connecting).await;
        connected.unwrap_or(Err(StoreError::Silent)).map_err(|error| {
            let why = chain_of(&error);
            tracing::warn!(service = self.settings.service, error = %why,
                "a lane cannot reach its log; what is queued waits");
            Tried::Failed(Failure::Away(why))
        })
    }

    /// Tells the callers, and then those who follow.
    fn answer(&self, jobs: Vec<Job>, outcomes: Vec<ChainOutcome>) {
        let heard = self.tail.is_heard();
        let mut appended = Vec::new();
        for (Job { partition, chain, answer, .. }, outcome) in jobs.into_iter().zip(outcomes) {
            if let Some(next) = end(&chain, &outcome) {
                appended.push((partition, next, heard.then(|| (chain, outcome.clone()))));
            }
            // A caller that went away is not told; its chain is in the log all the same.
            let _ = answer.send(Ok(outcome));
        }
        for (partition, next, told) in appended {
            // Whoever knew the head before the event would read the log for it.
            if let Some((chain, outcome)) = told {
                self.tail.tell(chain, &outcome, self.sessions);
            }
            self.heads.raise(partition, next);
        }
    }
}

/// The next offset behind what was appended of a chain; none if nothing was.
fn end(chain: &Chain, outcome: &ChainOutcome) -> Option<i64> {
    let ends = chain.entries.iter().zip(&outcome.verdicts).filter_map(|(entry, verdict)| {
        let events = i64::try_from(entry.events.len()).unwrap_or(i64::MAX);
        match verdict {
            Verdict::Ok { offset, .. } if events > 0 => Some(offset + events),
            Verdict::Ok { .. }
            | Verdict::Already { .. }
            | Verdict::Again
            | Verdict::Conflict { .. } => None,
        }
    });
    ends.max()
}

/// A session that appends. An answer means that the disk has it, whatever the database's own default is;
/// a stricter one (`remote_apply`) is kept.
async fn connect(settings: &LaneSettings) -> Result<Session, StoreError> {
    // `append` says itself how it is planned.
    let database = settings.database.with_option("plan_cache_mode=force_generic_plan").brisk();
    let client = database.connect(&format!("daybook lane {}", settings.service)).await?;
    client
        .batch_execute(&format!(
            "set lock_timeout = '{}ms'; set default_transaction_isolation = 'read committed'; \
             select set_config('synchronous_commit', 'on', false) \
              where current_setting('synchronous_commit') = 'off'",
            settings.lock_wait.as_millis()
        ))
        .await?;
    let service = &settings.service;
    let epochs = client
        .query(&format!("select epoch from {service}.writer_epochs() order by partition"), &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let statements = Statements::prepare(&client, service).await?;
    Ok(Session { client, statements, epochs })
}

fn tried(error: &tokio_postgres::Error) -> Tried {
    let Some(refusal) = error.as_db_error() else { return Tried::Unknown };
    Tried::Failed(if refusal.code().code() == "DB002" {
        Failure::Epoch
    } else if of_the_data(error) {
        Failure::Data(chain_of(error))
    } else if !transient(error) {
        Failure::Statement(chain_of(error))
    } else if refusal.parsed_severity() == Some(Severity::Error) {
        // It was rolled back. After anything worse the session is gone, and nobody says what became of it.
        Failure::Away(chain_of(error))
    } else {
        return Tried::Unknown;
    })
}

/// An error with all its causes, for the log.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
