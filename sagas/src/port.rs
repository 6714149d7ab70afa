//! What one service asks of another: a function call where the other one is in this process, else a request to its
//! owner, with the same command id at every try.

use decider::Decider;
use edge::{Answered, CORRELATION_ID, Peer};
use event_store::dues::Claimed;
use event_store::{Envelope, TransactError, Transactor};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::envelope;

/// The write path of the decider `D`.
pub enum Port<D: Decider> {
    Here(Transactor<D>),
    Elsewhere(Peer),
}

/// Why a request was not accepted.
#[derive(Debug)]
pub(crate) enum Refusal {
    Later(String),
    /// By the owner, for the reason with this slug.
    ForGood(String),
}

/// A command for a stream, and the due that it becomes of.
type Request<'a, C, R> = (&'a str, C, &'a Claimed<R>);

/// The name of a rejection.
type Slug<D> = fn(&<D as Decider>::Rejection) -> &'static str;

impl<D: Decider> Port<D> {
    /// Sends a command to its owner: accepted, rejected by the decider, or put off because nobody knows.
    pub(crate) async fn ask<R: Sync>(
        &self,
        request: Request<'_, D::Command, R>,
        slug: Slug<D>,
    ) -> Result<(), Refusal> {
        match self {
            Port::Here(owner) => ask_here(owner, request, slug).await,
            Port::Elsewhere(owner) => ask_elsewhere::<D, R>(owner, request).await,
        }
    }
}

pub(crate) async fn ask_here<D: Decider, R: Sync>(
    owner: &Transactor<D>,
    (stream, command, due): Request<'_, D::Command, R>,
    slug: Slug<D>,
) -> Result<(), Refusal> {
    match owner.transact(stream, command, envelope::of_request(due)).await {
        Ok(_) => Ok(()),
        Err(TransactError::Rejected { rejection, .. }) => {
            Err(Refusal::ForGood(slug(&rejection).to_owned()))
        }
        Err(TransactError::TooLarge { .. }) => Err(too_large()),
        Err(
            error @ (TransactError::Busy
            | TransactError::OutcomeUnknown
            | TransactError::OtherBody
            | TransactError::WrongVersion { .. }
            | TransactError::Data(_)
            | TransactError::Newer { .. }
            | TransactError::Store(_)),
        ) => Err(Refusal::Later(error.to_string())),
    }
}

async fn ask_elsewhere<D: Decider, R: Sync>(
    owner: &Peer,
    (stream, command, due): Request<'_, D::Command, R>,
) -> Result<(), Refusal> {
    let envelope = envelope::of_request(due);
    let body = body(stream, &command, &envelope);
    let mut headers = HeaderMap::new();
    let mut say = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    say(CORRELATION_ID, &envelope.metadata.correlation);
    if let Some(traceparent) = &envelope.metadata.traceparent {
        say(HeaderName::from_static("traceparent"), traceparent);
    }
    match owner.post("/internal/commands", &envelope.metadata.actor, &headers, &body).await {
        Ok(answered) => heard(owner.service(), answered),
        Err(unanswered) => Err(Refusal::Later(unanswered.to_string())),
    }
}

/// What is sent to an owner elsewhere.
pub(crate) fn body(stream: &str, command: &impl Serialize, envelope: &Envelope) -> Value {
    json!({
        "stream": stream,
        "command_id": envelope.command_id,
        "command": command,
        "occurred_at": envelope.occurred_at,
        "causation": envelope.metadata.causation,
        "actor": envelope.metadata.actor,
    })
}

/// What the answer of an owner elsewhere means. The decider's own word is 409, and nothing else is.
pub(crate) fn heard(owner: &str, answered: Answered) -> Result<(), Refusal> {
    match answered {
        Answered::Done(_) => Ok(()),
        Answered::Refused(StatusCode::CONFLICT, slug) if !slug.is_empty() => {
            Err(Refusal::ForGood(slug))
        }
        Answered::Refused(StatusCode::PAYLOAD_TOO_LARGE, slug) if slug == "event-too-large" => {
            Err(too_large())
        }
        Answered::Refused(status, slug) => {
            Err(Refusal::Later(format!("{owner} answers {status} {slug}")))
        }
    }
}

fn too_large() -> Refusal {
    Refusal::ForGood("too-large".to_owned())
}
