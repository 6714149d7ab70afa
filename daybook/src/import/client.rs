//! One command or query to Daybook, sent until it is answered or patience ends.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use reqwest::{StatusCode, Url, header};
use serde_json::Value;
use tokio::{sync::Semaphore, time::Instant};

use super::{Import, ImportError, progress::Progress};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than any answer should take: what times out is asked again with the same key.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Before every slug in the `type` of Daybook's problems.
const PROBLEM: &str = "urn:daybook:problem:";

/// Talks to one Daybook.
pub(super) struct Client<'a> {
    http: reqwest::Client,
    base: Url,
    /// As many commands are in flight at once; whoever asks first goes first.
    slots: Semaphore,
    give_up_after: Duration,
    last_progress: Mutex<Instant>,
    progress: &'a Progress,
}

/// A command as it goes out.
pub(super) struct Command {
    pub(super) path: String,
    pub(super) key: String,
    pub(super) body: Value,
}

/// The answer to a command that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) location: Option<String>,
}

/// An answer, but not the one that was hoped for.
#[derive(Debug)]
pub(super) enum CallError {
    /// A 4xx: asking again would not help. The slug is the end of the problem's type.
    Refused { slug: String },
    /// Nothing more can be sent.
    Stop(Stop),
}

/// Why an import ended before everything was settled.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error(
        "{url} does not accept history. Start it with `daybook serve --accept-history`, \
         then run the import again"
    )]
    HistoryNotAccepted { url: Url },
    #[error("{url} does not let us in ({slug}). Show it a token that may, with --token")]
    NotLetIn { url: Url, slug: String },
    #[error(
        "{url}: no progress for {after_s} s ({last}). \
         Run the import again when that is mended: it goes on where it stopped"
    )]
    NoProgress { url: Url, after_s: u64, last: String },
    #[error("{url} does not answer as Daybook does ({what})")]
    NotDaybook { url: Url, what: String },
}

/// One attempt that brought no answer to keep.
enum Miss {
    /// Worth asking again, not before this long.
    Passing {
        why: String,
        after: Option<Duration>,
    },
    Final(CallError),
}

impl<'a> Client<'a> {
    pub(super) fn new(import: &Import, progress: &'a Progress) -> Result<Self, ImportError> {
        // Another part of the process may have installed it already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let not_an_address = || ImportError::Url { url: import.url.clone() };
        let base = Url::parse(&import.url).map_err(|_| not_an_address())?;
        if base.cannot_be_a_base() || !base.scheme().starts_with("http") {
            return Err(not_an_address());
        }
        let shown = import.token.as_ref().and_then(|token| {
            let mut shown = header::HeaderValue::try_from(format!("Bearer {token}")).ok()?;
            shown.set_sensitive(true);
            Some((header::AUTHORIZATION, shown))
        });
        let http = match import.tls.as_deref() {
            Some(tls) => reqwest::Client::builder().tls_backend_preconfigured(tls.clone()),
            None => reqwest::Client::builder(),
        };
        let http = http
            .default_headers(header::HeaderMap::from_iter(shown))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ImportError::Http)?;
        Ok(Self {
            http,
            base,
            slots: Semaphore::new(import.concurrency.get().into()),
            give_up_after: import.give_up_after(),
            last_progress: Mutex::new(Instant::now()),
            progress,
        })
    }

    /// Sends a command until it is taken or refused.
    pub(super) async fn command(&self, command: &Command) -> Result<Taken, CallError> {
        let attempt = || async {
            let _slot = self.slots.acquire().await;
            let request = self
                .http
                .post(self.url(&command.path))
                .header("Idempotency-Key", format!("\"{}\"", command.key))
                .json(&command.body);
            self.answer(request).await
        };
        let response = self.persist(attempt).await?;
        self.moved();
        let location = response.headers().get(header::LOCATION);
        Ok(Taken { location: location.and_then(|text| Some(text.to_str().ok()?.to_owned())) })
    }

    /// Asks until there is an answer; `None` is 404.
    pub(super) async fn query(&self, path: &str) -> Result<Option<Value>, Stop> {
        let attempt = || async {
            let response = self.answer(self.http.get(self.url(path))).await?;
            response.json().await.map_err(|error| transport(&error))
        };
        match self.persist(attempt).await {
            Ok(body) => Ok(Some(body)),
            Err(CallError::Refused { slug }) if slug == "not-found" => Ok(None),
            Err(CallError::Refused { slug }) => {
                Err(self.not_daybook(format!("{path} is refused: {slug}")))
            }
            Err(CallError::Stop(stop)) => Err(stop),
        }
    }

    /// Something was taken or settled: patience starts anew.
    pub(super) fn moved(&self) {
        *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.progress.moves();
    }

    /// Fails if there was no progress for too long; `last` says what is waited for.
    pub(super) fn still_moving(&self, last: &str) -> Result<(), Stop> {
        if self.is_patient() {
            return Ok(());
        }
        Err(Stop::NoProgress {
            url: self.base.clone(),
            after_s: self.give_up_after.as_secs(),
            last: last.to_owned(),
        })
    }

    pub(super) fn not_daybook(&self, what: String) -> Stop {
        Stop::NotDaybook { url: self.base.clone(), what }
    }

    fn is_patient(&self) -> bool {
        let last = *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed() < self.give_up_after
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    async fn persist<T, F: Future<Output = Result<T, Miss>>>(
        &self,
        attempt: impl FnMut() -> F,
    ) -> Result<T, CallError> {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times();
        let outcome = attempt
            .retry(backoff)
            .when(|miss| matches!(miss, Miss::Passing { .. }) && self.is_patient())
            .adjust(|miss, pause| match miss {
                Miss::Passing { after, .. } => pause.max(*after),
                Miss::Final(_) => pause,
            })
            .notify(|miss, _| {
                if let Miss::Passing { why, .. } = miss {
                    self.progress.waits(why);
                }
            })
            .await;
        outcome.map_err(|miss| match miss {
            Miss::Final(error) => error,
            Miss::Passing { why, .. } => CallError::Stop(Stop::NoProgress {
                url: self.base.clone(),
                after_s: self.give_up_after.as_secs(),
                last: why,
            }),
        })
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Miss> {
        let response = request.send().await.map_err(|error| transport(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = response.headers().get(header::RETRY_AFTER);
        let after = after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let after = after.map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
        let body = response.bytes().await.map_err(|error| transport(&error))?;
        let slug = slug(&body);
        let asked_again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        if status.is_server_error() || asked_again.contains(&status) {
            let why = slug.map_or_else(|| status.to_string(), |slug| format!("{status}: {slug}"));
            return Err(Miss::Passing { why, after });
        }
        Err(Miss::Final(match slug {
            Some(slug) if slug == "history-not-accepted" => {
                CallError::Stop(Stop::HistoryNotAccepted { url: self.base.clone() })
            }
            Some(slug)
                if status == StatusCode::UNAUTHORIZED
                    || (status == StatusCode::FORBIDDEN && slug == "forbidden") =>
            {
                CallError::Stop(Stop::NotLetIn { url: self.base.clone(), slug })
            }
            Some(slug) => CallError::Refused { slug },
            None => CallError::Stop(self.not_daybook(status.to_string())),
        }))
    }
}

fn slug(body: &[u8]) -> Option<String> {
    let problem: Value = serde_json::from_slice(body).ok()?;
    Some(problem.get("type")?.as_str()?.strip_prefix(PROBLEM)?.to_owned())
}

/// The innermost cause says most: "connection refused", not "error sending request".
fn transport(error: &reqwest::Error) -> Miss {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Miss::Passing { why: cause.to_string(), after: None }
}
