//! Answers that go on: server-sent events, of which each names its place, so that whoever lost the connection goes on
//! behind it. They are read from the log as fast as the reader takes them, and nothing is kept for him.

use super::{Asker, Queries};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use edge::Problem;
use edge::access::Stay;
use event_store::{Log, Recorded, StoreError};
use futures_util::stream;
use http::StatusCode;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How soon it is seen what nobody told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a reader is shown that the connection lives.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Events that are read at once.
const PAGE: i64 = 100;

/// The last event that a reader has seen: where it stood, and in which epoch, as its id says it: `2:17`. A failover may
/// have put another one in its place. Whoever says `17` alone takes that for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) epoch: Option<i32>,
    pub(crate) number: i64,
}

impl Seen {
    /// Nothing yet, of a stream.
    pub(crate) const START: Seen = Seen { epoch: None, number: 0 };

    pub(crate) fn read(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
        match text.trim().split_once(':') {
            Some((epoch, text)) => {
                Some(Seen { epoch: Some(epoch.parse().ok()?), number: number(text)? })
            }
            None => Some(Seen { epoch: None, number: number(text.trim())? }),
        }
    }

    /// The id of an event.
    pub(crate) fn id(epoch: i32, number: i64) -> String {
        format!("{epoch}:{number}")
    }
}

/// What an answer that goes on is made of: the events that come next, once there are some.
pub(crate) trait Ahead: Send + 'static {
    fn next(&mut self) -> impl Future<Output = Result<Vec<Event>, StoreError>> + Send;
}

/// The answer. It ends when the process leaves, when the log cannot be read, and when what the reader showed is not good
/// any more: then he comes again.
///
/// # Errors
/// If as many listen already as may.
pub(crate) fn sent(asker: &Asker, ahead: impl Ahead) -> Result<Response, Problem> {
    let Some(place) = asker.listens() else {
        let detail = "As many callers listen as may; nothing was done.";
        return Err(Problem::unavailable("busy", 5).detail(detail));
    };
    let (leaving, stay) = (asker.0.leaving.clone(), asker.stay());
    let going = Going { ahead, ready: VecDeque::new(), leaving, stay, _place: place };
    let events = stream::unfold(going, step);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)).into_response())
}

struct Going<A> {
    ahead: A,
    ready: VecDeque<Event>,
    leaving: CancellationToken,
    stay: Option<Stay>,
    /// Given back with the connection.
    _place: edge::Place,
}

async fn step<A: Ahead>(mut going: Going<A>) -> Option<(Result<Event, Infallible>, Going<A>)> {
    loop {
        let stay = &mut going.stay;
        let ended = async {
            match stay {
                Some(stay) => stay.ended().await,
                None => std::future::pending().await,
            }
        };
        // Who is slow to take what is ready may stay no longer for it.
        let next = tokio::select! {
            biased;
            () = ended => return None,
            () = std::future::ready(()), if !going.ready.is_empty() => Ok(Vec::new()),
            next = going.leaving.run_until_cancelled(going.ahead.next()) => next?,
        };
        match next {
            Ok(events) => going.ready.extend(events),
            Err(error) => {
                tracing::info!(%error, "who listens to events is let go");
                return None;
            }
        }
        if let Some(event) = going.ready.pop_front() {
            return Some((Ok(event), going));
        }
    }
}

pub(crate) fn lost_what_was_told() -> StoreError {
    StoreError::Other("the log has lost what was told last".to_owned())
}

/// To whoever says what he has seen last, and it is not there any more.
pub(crate) fn lost_what_was_seen() -> Problem {
    Problem::new(StatusCode::GONE, "lost-position").detail(
        "The log has lost the event that you have seen last. Read it anew, without Last-Event-ID.",
    )
}

/// What is yet to come in one stream.
pub(crate) struct StreamAhead {
    log: Log,
    stream: String,
    version: i64,
    /// Of the event of that version, if that is known.
    epoch: Option<i32>,
    told: Option<broadcast::Receiver<Arc<Recorded>>>,
    heads: watch::Receiver<Vec<i64>>,
    /// The head of its partition before it was last read.
    head: i64,
}

impl StreamAhead {
    /// None if its log is not here.
    pub(crate) fn new(
        queries: &Queries,
        service: &str,
        stream: String,
        after: Seen,
    ) -> Option<Self> {
        let log = queries.log(service)?.clone();
        let told = queries.0.runner.as_ref().and_then(|it| Some(it.feed(service)?.live()));
        let heads = log.known_heads();
        let Seen { epoch, number: version } = after;
        Some(StreamAhead { log, stream, version, epoch, told, heads, head: -1 })
    }

    /// Whether a failover has taken what was seen last.
    pub(crate) async fn has_lost_it(&self) -> Result<bool, StoreError> {
        let Some(epoch) = self.epoch else { return Ok(false) };
        let there = self.log.read_stream(&self.stream, self.version.saturating_sub(1), 1).await?;
        Ok(!there.first().is_some_and(|it| it.version == self.version && it.epoch == epoch))
    }

    /// The next events, once there are some.
    pub(crate) async fn events(&mut self) -> Result<Vec<Recorded>, StoreError> {
        loop {
            self.head = self.known_head();
            let page = self.log.read_stream(&self.stream, self.version, PAGE).await?;
            if let (Some(first), Some(last)) = (page.first(), page.last()) {
                if Some(first.epoch) != self.epoch && self.has_lost_it().await? {
                    return Err(lost_what_was_told());
                }
                (self.version, self.epoch) = (last.version, Some(last.epoch));
                return Ok(page);
            }
            self.wait().await;
        }
    }

    fn known_head(&self) -> i64 {
        let partition = usize::try_from(self.log.partition_of(&self.stream)).unwrap_or_default();
        self.heads.borrow().get(partition).copied().unwrap_or_default()
    }

    /// Until there may be more. Who waits asks nobody: as long as nothing is added to its partition, there is nothing.
    async fn wait(&mut self) {
        loop {
            let look = Instant::now() + LOOK_EVERY;
            let told = async {
                let Some(told) = &mut self.told else { return std::future::pending().await };
                loop {
                    match told.recv().await {
                        Ok(event)
                            if event.stream != self.stream || event.version <= self.version => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => return,
                        Err(RecvError::Closed) => return std::future::pending().await,
                    }
                }
            };
            if timeout_at(look, told).await.is_ok() || self.head < self.known_head() {
                return;
            }
        }
    }
}
