//! What other services ask: the owner's own commands, as their deciders know them.

use crate::{CommandApi, answer, api::served, refusal};
use axum::{Extension, extract::State, response::Response};
use chrono::{DateTime, SubsecRound, Utc};
use decider::Decider;
use domain::{
    inventory::stock::{self, Stock},
    orders::order::{self, Order},
    payments::payment::{self, Payment},
};
use edge::{Deadline, FieldError, Fields, Identity, JsonBody, Problem, RequestContext};
use event_store::{Envelope, Metadata, Transactor};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// A command, and what comes with it.
struct Asked {
    stream: String,
    command: Value,
    envelope: Envelope,
}

impl Asked {
    fn read(fields: &mut Fields<'_>, context: &RequestContext) -> Option<Asked> {
        let stream = fields.required::<String>("stream");
        let command_id = fields.required::<Uuid>("command_id");
        let command = fields.required::<Value>("command");
        let occurred_at = fields.required::<DateTime<Utc>>("occurred_at");
        let causation = fields.optional::<Uuid>("causation");
        let actor = fields.required::<String>("actor");
        let metadata = Metadata {
            correlation: context.correlation.to_string(),
            causation: causation?,
            actor: actor?,
            traceparent: context.traceparent.as_deref().map(str::to_owned),
        };
        let envelope = Envelope {
            command_id: command_id?,
            fingerprint: None,
            occurred_at: occurred_at?.trunc_subsecs(6),
            metadata,
            expected_version: None,
        };
        Some(Asked { stream: stream?, command: command?, envelope })
    }
}

/// What every such request holds, told to whoever makes one.
pub(crate) fn body(fields: &mut Fields<'_>) -> Option<()> {
    let context = RequestContext { correlation: "".into(), traceparent: None };
    Asked::read(fields, &context).map(drop)
}

/// `POST /internal/commands {"stream": "stock-85123A", "command_id": "…", "command": {"reserve": {…}}, …}`. The
/// decider's own rejection is 409, and nothing else is: whoever asks must tell it from *not now*. He is believed who has
/// acted, if his token says so too.
pub(crate) async fn decide(
    State(api): State<CommandApi>,
    identity: Option<Extension<Arc<Identity>>>,
    context: RequestContext,
    deadline: Deadline,
    body: JsonBody,
) -> Result<Response, Problem> {
    let asked = body.read(|fields| Asked::read(fields, &context))?;
    deadline.check()?;
    let identity = identity.as_ref().map(|Extension(it)| it);
    let stream = asked.stream.as_str();
    if stock::id_of(stream).is_some() {
        transact::<Stock>(served(&api.stock)?, asked, identity).await
    } else if order::id_of(stream).is_some() {
        transact::<Order>(served(&api.orders)?, asked, identity).await
    } else if payment::id_of(stream).is_some() {
        transact::<Payment>(served(&api.payments)?, asked, identity).await
    } else {
        Err(refused_field("stream", "names nothing that one service asks another about"))
    }
}

async fn transact<D: Decider<Command: OfServices, Rejection: refusal::Rejection>>(
    owner: &Transactor<D>,
    Asked { stream, command, envelope }: Asked,
    identity: Option<&Arc<Identity>>,
) -> Result<Response, Problem> {
    let actor = &*envelope.metadata.actor;
    if let Some(identity) = identity {
        identity.vouches_for(actor, owner.log().service())?;
    }
    let command = serde_json::from_value::<D::Command>(command);
    let command = command.map_err(|error| refused_field("command", &error.to_string()))?;
    if command.asked_by() != Some(actor) {
        return Err(refused_field("command", &format!("is nothing that {actor} asks of another")));
    }
    let done = owner.transact(&stream, command, envelope).await;
    Ok(answer::done(&done.map_err(refusal::conflict)?))
}

fn refused_field(name: &str, detail: &str) -> Problem {
    let pointer = Some(format!("/{name}"));
    let detail = detail.to_owned();
    Problem::invalid_fields(vec![FieldError { detail, pointer, parameter: None }])
}

/// What one service asks of another, and who there is the one to ask it. Everything else is decided by callers, or by the
/// owner itself: whoever found a way in here cannot say that goods have come, or that somebody has paid.
trait OfServices {
    fn asked_by(&self) -> Option<&'static str>;
}

const CHECKOUT: Option<&str> = Some("checkout-saga");

impl OfServices for stock::Command {
    fn asked_by(&self) -> Option<&'static str> {
        match self {
            Self::Reserve { .. } | Self::Release { .. } | Self::Ship { .. } => CHECKOUT,
            Self::Receive { .. } | Self::Adjust { .. } => None,
        }
    }
}

impl OfServices for order::Command {
    fn asked_by(&self) -> Option<&'static str> {
        match self {
            Self::Confirm {} | Self::Cancel { .. } | Self::Close {} => CHECKOUT,
            Self::Place { .. } | Self::Ship {} => None,
        }
    }
}

impl OfServices for payment::Command {
    fn asked_by(&self) -> Option<&'static str> {
        match self {
            Self::Authorise { .. }
            | Self::Capture { .. }
            | Self::Void {}
            | Self::Refund { amount: Some(_) } => CHECKOUT,
            Self::Refund { amount: None } | Self::Answer { .. } => None,
        }
    }
}
