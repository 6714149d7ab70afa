//! What happens to every request that changes something: its key is looked up, it is carried out once,
//! written to the book, and only then answered.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::value::{RawValue, to_raw_value};

use super::Sandbox;
use super::character::Character;
use super::fault::Fault;
use super::ledger::{Entry, Ledger};
use super::line::Line;
use super::operation::Operation;
use super::params::Params;

const KEY: &str = "idempotency-key";
/// Stripe's limit.
const KEY_LENGTH: usize = 255;
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

type Shared = State<Arc<Sandbox>>;
type Caller = ConnectInfo<Line>;

pub(super) async fn create(s: Shared, line: Caller, headers: HeaderMap, body: Bytes) -> Response {
    post(s, line, Operation::Create, headers, body).await
}

pub(super) async fn capture(
    s: Shared,
    line: Caller,
    Path(intent): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    post(s, line, Operation::Capture { intent }, headers, body).await
}

pub(super) async fn cancel(
    s: Shared,
    line: Caller,
    Path(intent): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    post(s, line, Operation::Cancel { intent }, headers, body).await
}

pub(super) async fn refund(s: Shared, line: Caller, headers: HeaderMap, body: Bytes) -> Response {
    post(s, line, Operation::Refund, headers, body).await
}

async fn post(
    State(sandbox): Shared,
    ConnectInfo(line): Caller,
    operation: Operation,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let acts = sandbox.acts.clone();
    let work = acts.spawn(async move {
        let params = Params::parse(&body);
        let call = match Call::new(operation, params, &headers) {
            Ok(call) => call,
            Err(fault) => return fault.into_response(),
        };
        call.answer(sandbox, line).await.unwrap_or_else(|fault| fault.into_response())
    });
    work.await.unwrap_or_else(|_| Fault::internal().into_response())
}

struct Call {
    operation: Operation,
    params: Params,
    key: Option<String>,
    request: String,
}

impl Call {
    fn new(operation: Operation, params: Params, headers: &HeaderMap) -> Result<Self, Fault> {
        let key = match headers.get(KEY) {
            None => None,
            Some(sent) => {
                let key = sent.to_str().ok().filter(|key| key.len() <= KEY_LENGTH);
                let what = "is no text of up to 255 characters";
                Some(
                    key.ok_or_else(|| Fault::parameter("parameter_invalid", KEY, what))?.to_owned(),
                )
            }
        };
        let request = format!("{}?{}", operation.path(), params.canonical());
        Ok(Self { operation, params, key, request })
    }

    async fn answer(self, sandbox: Arc<Sandbox>, line: Line) -> Result<Response, Fault> {
        let (character, _in_flight) = match self.begin(&sandbox)? {
            Begun::Replay(answer) => {
                sandbox.book.settled().await.map_err(|_| Fault::internal())?;
                return Ok(answer);
            }
            Begun::Fresh(character, in_flight) => (character, in_flight),
        };
        let (status, body) = sandbox.book.act(|ledger| self.act(ledger, character))?;
        sandbox.book.settled().await.map_err(|_| Fault::internal())?;
        match character {
            Some(Character::Slow) => {
                let delay = Duration::from_millis(sandbox.behaviour().delay_ms);
                tokio::time::sleep(delay).await;
            }
            Some(Character::AnswerLost) => line.cut(),
            Some(
                Character::Works
                | Character::Declines(_)
                | Character::ErrorsFirst
                | Character::ErrorKept
                | Character::CaptureFails,
            )
            | None => {}
        }
        Ok((status, [(CONTENT_TYPE, "application/json")], body.get().to_owned()).into_response())
    }

    /// Either the answer is known, or nobody else may use the key until the guard is dropped.
    fn begin(&self, sandbox: &Arc<Sandbox>) -> Result<Begun, Fault> {
        // The keys are locked before the ledger is looked at: an act that ends between the two looks
        // would otherwise be carried out again.
        let mut keys = sandbox.keys();
        let (kept, character) = sandbox.book.read(|ledger| {
            let kept = self.key.as_ref().and_then(|key| ledger.kept.get(key)).cloned();
            (kept, self.operation.character(ledger, &self.params))
        });
        let Some(key) = &self.key else {
            return Ok(Begun::Fresh(character, None));
        };
        if keys.in_flight.contains(key) {
            return Err(Fault::key_in_use(key));
        }
        if let Some(kept) = kept {
            if kept.request != self.request {
                return Err(Fault::other_parameters(key));
            }
            let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
            let headers = [(CONTENT_TYPE, "application/json"), (REPLAYED, "true")];
            return Ok(Begun::Replay((status, headers, kept.body.to_string()).into_response()));
        }
        if character == Some(Character::ErrorsFirst) {
            let errors = keys.errors.entry(key.clone()).or_default();
            if *errors < Character::ERRORS {
                *errors += 1;
                return Err(Fault::internal());
            }
        }
        keys.in_flight.insert(key.clone());
        let guard = InFlight { sandbox: sandbox.clone(), key: key.clone() };
        Ok(Begun::Fresh(character, Some(guard)))
    }

    /// Carries the request out on the ledger, and gives the line to write with the answer.
    fn act(
        &self,
        ledger: &mut Ledger,
        character: Option<Character>,
    ) -> Result<(Entry, StatusCode), Fault> {
        let at = edge::clock::now().timestamp();
        let (facts, (mut status, mut body)) = match self.operation.decide(ledger, &self.params) {
            Ok(act) => {
                for fact in &act.facts {
                    ledger.apply(fact, at).map_err(|_| Fault::internal())?;
                }
                let answer = act.shows.answer(ledger);
                (act.facts, answer)
            }
            Err(fault) if fault.kept => (Vec::new(), (fault.status, fault.body())),
            Err(fault) => return Err(fault),
        };
        if character == Some(Character::ErrorKept) {
            (status, body) = (StatusCode::INTERNAL_SERVER_ERROR, Fault::internal().body());
        }
        let body: Box<RawValue> = to_raw_value(&body).map_err(|_| Fault::internal())?;
        let (key, request) = (self.key.clone(), self.request.clone());
        let entry = Entry { at, key, request, facts, status: status.as_u16(), body };
        Ok((entry, status))
    }
}

enum Begun {
    Replay(Response),
    Fresh(Option<Character>, Option<InFlight>),
}

struct InFlight {
    sandbox: Arc<Sandbox>,
    key: String,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.sandbox.keys().in_flight.remove(&self.key);
    }
}
