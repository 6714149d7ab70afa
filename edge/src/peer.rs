//! Another service of Daybook, asked over HTTP. Whatever is asked may be asked twice: queries, and commands that carry
//! their id. So what fails in passing is tried again, after pauses with a die in them, as long as the deadline and the
//! budget of retries allow; and who fails again and again is left alone.

mod lines;
#[cfg(test)]
mod tests;

pub use lines::Lines;

use crate::{Breaker, BreakerSettings, DEADLINE, Deadline, PROBLEM_URN};
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;
use tower::retry::budget::{Budget, TpsBudget};

/// A service in other processes, which share one address. Clones share connections, breaker and budget.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    service: String,
    base: String,
    lines: RwLock<Lines>,
    limits: PeerLimits,
    shown: Option<Shown>,
    breaker: Breaker,
    budget: TpsBudget,
}

/// Bounds of what is asked of another service.
#[derive(Clone, Copy, Debug)]
pub struct PeerLimits {
    pub connect: Duration,
    /// For one try.
    pub answer: Duration,
    /// For all tries of one question together.
    pub deadline: Duration,
    /// The pause after the first failure; it doubles up to `retry_most`, and a die adds up to as much again.
    pub retry_first: Duration,
    pub retry_most: Duration,
    /// Retries of one question.
    pub retries: usize,
    /// Of a hundred questions so many may be asked again, besides `retry_floor` each second.
    pub retry_percent: u32,
    pub retry_floor: u32,
    /// A connection that nobody has used for so long is closed; the next one is made to where the name leads then.
    pub idle: Duration,
    pub breaker: BreakerSettings,
}

impl Default for PeerLimits {
    fn default() -> Self {
        PeerLimits {
            connect: Duration::from_millis(1_000),
            answer: Duration::from_millis(5_000),
            deadline: Duration::from_millis(10_000),
            retry_first: Duration::from_millis(50),
            retry_most: Duration::from_millis(1_000),
            retries: 3,
            retry_percent: 20,
            retry_floor: 10,
            idle: Duration::from_millis(15_000),
            breaker: BreakerSettings {
                failures: 10,
                first_pause: Duration::from_millis(200),
                longest_pause: Duration::from_millis(5_000),
            },
        }
    }
}

impl PeerLimits {
    /// One after each failure. The die keeps apart those whose questions failed together.
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::default()
            .with_min_delay(self.retry_first)
            .with_max_delay(self.retry_most)
            .with_max_times(self.retries)
            .with_jitter()
            .build()
    }
}

/// Gives the token that is shown just now, if any is: to which service, and for whom we act, if not for ourselves.
pub type Shown = Arc<dyn Fn(&str, Option<&str>) -> Option<Arc<str>> + Send + Sync>;

/// How long retries count in the budget.
const BUDGET_TTL: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    #[error("`{0}` is no http:// or https:// address")]
    Url(String),
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Why there is no answer. Whether anything was done is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("{0} has been failing and is left alone for a moment")]
    LeftAlone(String),
    #[error("{0} did not answer in time")]
    TimedOut(String),
    #[error("the line to {0} failed: {1}")]
    Line(String, String),
    #[error("{0} answers {1} {2}")]
    Status(String, StatusCode, String),
    #[error("the answer of {0} is not understood: {1}")]
    NotUnderstood(String, String),
}

impl Unanswered {
    /// Whether the same may be answered in a while: the reason is neither what was asked nor who asked.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Unanswered::LeftAlone(_) | Unanswered::TimedOut(_) | Unanswered::Line(..) => true,
            Unanswered::Status(_, status, _) => !refuses(*status),
            Unanswered::NotUnderstood(..) => false,
        }
    }

    /// Who did not answer.
    #[must_use]
    pub fn service(&self) -> &str {
        match self {
            Unanswered::LeftAlone(service)
            | Unanswered::TimedOut(service)
            | Unanswered::Line(service, _)
            | Unanswered::Status(service, ..)
            | Unanswered::NotUnderstood(service, _) => service,
        }
    }
}

/// What a service said: that it is done, or that it is not, for good.
#[derive(Debug)]
pub enum Answered {
    Done(Bytes),
    /// With a status of the client's fault, and the slug of the problem.
    Refused(StatusCode, String),
}

impl Peer {
    /// # Errors
    /// If `url` is not the address of a server.
    pub fn new(service: &str, url: &str, limits: PeerLimits) -> Result<Self, BadAddress> {
        Self::over(Lines::new(&limits, None)?, service, url, limits)
    }

    /// The same over these connections.
    ///
    /// # Errors
    /// If `url` is not the address of a server.
    pub fn over(
        lines: Lines,
        service: &str,
        url: &str,
        limits: PeerLimits,
    ) -> Result<Self, BadAddress> {
        let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| BadAddress::Url(url.to_owned()))?;
        let percent = limits.retry_percent as f32 / 100.0;
        Ok(Peer(Arc::new(Inner {
            service: service.to_owned(),
            base: base.as_str().trim_end_matches('/').to_owned(),
            lines: RwLock::new(lines),
            limits,
            shown: None,
            breaker: Breaker::new(service, limits.breaker),
            budget: TpsBudget::new(BUDGET_TTL, limits.retry_floor, percent),
        })))
    }

    /// The same, to whom we say who asks, where it wants to know.
    #[must_use]
    pub fn showing(self, shown: Shown) -> Self {
        let inner = Arc::into_inner(self.0).expect("nobody has a clone of what is being made");
        Peer(Arc::new(Inner { shown: Some(shown), ..inner }))
    }

    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// It is asked over these connections from now on; what is under way goes on over its own.
    pub fn set_lines(&self, lines: Lines) {
        *self.0.lines.write().unwrap_or_else(PoisonError::into_inner) = lines;
    }

    /// Stands before it; clones share its state.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.0.breaker
    }

    fn client(&self) -> Client {
        self.0.lines.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// What stands at a path.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Unanswered> {
        self.get_with(path, query, &HeaderMap::new()).await
    }

    /// The same, asked with these headers.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        headers: &HeaderMap,
    ) -> Result<T, Unanswered> {
        let url = format!("{}{path}", self.0.base);
        let request = || self.client().get(&url).query(query).headers(headers.clone());
        match self.ask(None, request).await? {
            Answered::Done(body) => serde_json::from_slice(&body).map_err(|error| {
                Unanswered::NotUnderstood(self.0.service.clone(), error.to_string())
            }),
            Answered::Refused(status, slug) => {
                Err(Unanswered::Status(self.0.service.clone(), status, slug))
            }
        }
    }

    /// Sends a document that may come twice, for somebody.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn post(
        &self,
        path: &str,
        actor: &str,
        headers: &HeaderMap,
        body: &serde_json::Value,
    ) -> Result<Answered, Unanswered> {
        let url = format!("{}{path}", self.0.base);
        let request = || self.client().post(&url).headers(headers.clone()).json(body);
        self.ask(Some(actor), request).await
    }

    async fn ask(
        &self,
        actor: Option<&str>,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answered, Unanswered> {
        let Inner { service, limits, budget, .. } = &*self.0;
        let deadline = Instant::now() + limits.deadline;
        let mut pauses = limits.pauses();
        budget.deposit();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let failed = match self.try_once(actor, request(), left.min(limits.answer)).await {
                Ok(answered) => return Ok(answered),
                Err(left_alone @ Unanswered::LeftAlone(_)) => return Err(left_alone),
                Err(failed) => failed,
            };
            let pause = pauses.next().filter(|pause| Instant::now() + *pause < deadline);
            let Some(pause) = pause.filter(|_| budget.withdraw()) else { return Err(failed) };
            metrics::counter!("daybook_peer_retries_total", "target" => service.clone())
                .increment(1);
            tokio::time::sleep(pause).await;
        }
    }

    async fn try_once(
        &self,
        actor: Option<&str>,
        request: RequestBuilder,
        time: Duration,
    ) -> Result<Answered, Unanswered> {
        let Inner { service, breaker, .. } = &*self.0;
        let permit = breaker.permit().ok_or_else(|| Unanswered::LeftAlone(service.clone()))?;
        let began = Instant::now();
        let request = match self.0.shown.as_ref().and_then(|shown| shown(service, actor)) {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let sending = async {
            let sent = request.header(DEADLINE, Deadline::within(time)).timeout(time).send();
            let response = sent.await?;
            Ok((response.status(), response.bytes().await?))
        };
        let answered = match sending.await {
            Ok((status, body)) => self.sort(status, body),
            Err(error) => Err(self.no_answer(&error)),
        };
        let outcome = match &answered {
            Ok(Answered::Done(_)) => "done",
            Ok(Answered::Refused(..)) => "refused",
            Err(_) => "unanswered",
        };
        let labels = [("target", service.clone()), ("outcome", outcome.to_owned())];
        metrics::counter!("daybook_peer_calls_total", &labels).increment(1);
        metrics::histogram!("daybook_peer_call_seconds", "target" => service.clone())
            .record(began.elapsed());
        if is_well(&answered) {
            permit.succeeded();
        }
        answered
    }

    fn sort(&self, status: StatusCode, body: Bytes) -> Result<Answered, Unanswered> {
        if status.is_success() {
            return Ok(Answered::Done(body));
        }
        let slug = slug(&body);
        if refuses(status) {
            return Ok(Answered::Refused(status, slug));
        }
        Err(Unanswered::Status(self.0.service.clone(), status, slug))
    }

    fn no_answer(&self, error: &reqwest::Error) -> Unanswered {
        let service = self.0.service.clone();
        if error.is_timeout() {
            return Unanswered::TimedOut(service);
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Unanswered::Line(service, cause.to_string())
    }
}

/// Whether it will say the same next time.
fn refuses(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS
}

/// Whether the service itself is in order: it answered, be it a refusal or *not now*.
fn is_well(answered: &Result<Answered, Unanswered>) -> bool {
    match answered {
        Ok(_) => true,
        Err(Unanswered::Status(_, status, _)) => {
            [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(status)
        }
        Err(
            Unanswered::LeftAlone(_)
            | Unanswered::TimedOut(_)
            | Unanswered::Line(..)
            | Unanswered::NotUnderstood(..),
        ) => false,
    }
}

/// The end of a problem's type; nothing if the body is no problem of ours.
fn slug(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "type")]
        type_: String,
    }
    let named = serde_json::from_slice::<Named>(body).ok();
    let slug = named.and_then(|it| it.type_.strip_prefix(PROBLEM_URN).map(str::to_owned));
    slug.unwrap_or_default()
}
