//! Many commands in one request, for imports and other batch clients: each line is a command, and each is answered by a
//! line (`application/x-ndjson`), in their order, as soon as it is done.
//!
//! A line is what the same request by itself would be: it goes through the same router, with the same limits, and costs
//! nobody but itself. Lines for one stream are done in their order; others side by side, so many at once as the limits
//! say. Nothing is read while these are under way and their answers are not taken, so a client of any length is held
//! in bounded memory. Whatever has no answer when the connection breaks may have been done or not: sent again with the
//! same idempotency keys, it is done once.

mod line;
mod lines;
mod turns;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use edge::{Place, Places, Problem, RequestContext};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use line::Line;
use lines::Lines;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use turns::Turns;

/// Bounds of the requests that carry many commands.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Such requests at once; more get 503 at once.
    pub batches: usize,
    /// Lines of one that are under way at once.
    pub lines: usize,
    pub line_bytes: usize,
    /// One of which no whole line comes for so long is ended, whatever comes of it byte by byte.
    pub idle: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        let (batches, lines) = (16, 16);
        BatchLimits { batches, lines, line_bytes: 1 << 20, idle: Duration::from_secs(60) }
    }
}

/// What the endpoint of many commands works with. Clones share it.
#[derive(Clone)]
pub struct Batch {
    commands: Router,
    limits: BatchLimits,
    leaving: CancellationToken,
    places: Places,
}

impl Batch {
    /// `commands` is the finished router of callers' commands and of nothing else, with all that is around it. When the
    /// process is `leaving`, no more lines are read.
    #[must_use]
    pub fn new(commands: Router, limits: BatchLimits, leaving: CancellationToken) -> Self {
        lines::register_metrics();
        metrics::gauge!("daybook_batches").set(0);
        metrics::gauge!("daybook_batch_lines").set(0);
        let places = Places::new(limits.batches);
        Batch { commands, limits, leaving, places }
    }
}

/// A batch, until it is dropped.
struct Open {
    open: metrics::Gauge,
    _place: Place,
}

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const RETRY_AFTER_S: u32 = 5;

/// `POST /v1/commands`
pub(crate) async fn take(
    State(batch): State<Batch>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if !is_ndjson(&parts.headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
            .detail("Send one JSON object a line: Content-Type: application/x-ndjson."));
    }
    let place = batch.places.take(&parts.extensions).ok_or_else(|| {
        Problem::unavailable("busy", RETRY_AFTER_S)
            .detail("As many requests of many commands are under way as may; nothing was done.")
    })?;
    let open = metrics::gauge!("daybook_batches");
    open.increment(1);
    let place = Open { open, _place: place };
    let mut response = Response::new(Body::from_stream(answers(batch, parts, body, place)));
    response.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
    Ok(response)
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next());
    media_type.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/x-ndjson"))
}

/// The answers, one for each line. They are what pulls: as long as nobody takes them, nothing is read.
fn answers(
    batch: Batch,
    parts: Parts,
    body: Body,
    place: Open,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let limits = batch.limits;
    let shared = Arc::new(Shared::of(&parts));
    let lines = Lines::new(body, limits.line_bytes, limits.idle);
    let reading = (batch, lines, Turns::default(), place);
    let begun = stream::unfold(reading, move |(batch, mut lines, mut turns, place)| {
        let shared = shared.clone();
        async move {
            let (number, text) = batch.leaving.run_until_cancelled(lines.next()).await??;
            let line = text.and_then(|text| Line::read(&text));
            let mut turn = turns.take(line.as_ref().ok().and_then(Line::stream));
            let (commands, under_way) =
                (batch.commands.clone(), metrics::gauge!("daybook_batch_lines"));
            // A task of its own: a client that takes no answers must not stop a command halfway.
            let doing = tokio::spawn(async move {
                under_way.increment(1);
                turn.come().await;
                let answer = match line {
                    Ok(line) => line.send(commands, &shared).await,
                    Err(problem) => problem.into_response(),
                };
                let text = line::answer(number, answer).await;
                under_way.decrement(1);
                drop(turn);
                text
            });
            let answered = async move {
                let text = doing.await;
                Ok(text.unwrap_or_else(|error| line::lost(number, &error)))
            };
            Some((answered, (batch, lines, turns, place)))
        }
    });
    begun.buffered(limits.lines)
}

/// What the lines have in common: who asks, from where, and what it belongs to.
struct Shared {
    headers: HeaderMap,
    from: Option<ConnectInfo<SocketAddr>>,
}

const OF_ALL: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("traceparent"),
];

impl Shared {
    fn of(parts: &Parts) -> Self {
        let mut headers = HeaderMap::new();
        for name in OF_ALL {
            for value in parts.headers.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        let correlation = parts.extensions.get::<RequestContext>().map(|it| &*it.correlation);
        if let Some(correlation) = correlation.and_then(|it| HeaderValue::try_from(it).ok()) {
            headers.insert("x-correlation-id", correlation);
        }
        Shared { headers, from: parts.extensions.get().copied() }
    }
}
