use crate::CommandApi;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, RawPathParams, Request};
use chrono::{DateTime, Datelike, SubsecRound, Utc};
use edge::{
    Fields, IdempotencyKey, Identity, JsonBody, OnlyOf, Problem, RequestContext, clock,
    conditional, ids,
};
use event_store::{Envelope, Metadata};
use http::{StatusCode, request::Parts};
use std::sync::Arc;
use uuid::{Uuid, uuid};

/// The namespace of command ids. It never changes: a retry must find its first answer for ever.
const COMMAND_IDS: Uuid = uuid!("5d1fd3ea-0a3c-4f0e-9a34-7d0c2b6a4b11");
/// Who acts, where nobody is asked who he is.
const CALLER: &str = "local";

/// A request for a command: who asks, under which id, at which version, and the body.
#[derive(Debug)]
pub(crate) struct CommandRequest {
    command_id: Uuid,
    expected_version: Option<i64>,
    context: RequestContext,
    actor: String,
    accept_history: bool,
    body: JsonBody,
}

impl CommandRequest {
    /// Whether it may bring its own prices, and say when it occurred.
    pub(crate) fn accepts_history(&self) -> bool {
        self.accept_history
    }

    /// Reads the body's fields into a command. Every command may also say `occurred_at`, where history is
    /// accepted.
    pub(crate) fn parse<T>(
        self,
        read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Result<(T, Envelope), Problem> {
        let (now, fingerprint) = (clock::now(), self.body.fingerprint());
        let (command, occurred_at) = self.body.read(|fields| {
            let (occurred_at, command) = (occurred_at(fields, now), read(fields));
            Some((command?, occurred_at?))
        })?;
        if occurred_at.is_some() && !self.accept_history {
            return Err(history_not_accepted());
        }
        let metadata = Metadata {
            correlation: self.context.correlation.to_string(),
            causation: None,
            actor: self.actor,
            traceparent: self.context.traceparent.as_deref().map(str::to_owned),
        };
        Ok((
            command,
            Envelope {
                command_id: self.command_id,
                fingerprint: Some(fingerprint),
                occurred_at: occurred_at.unwrap_or(now),
                metadata,
                expected_version: self.expected_version,
            },
        ))
    }
}

fn occurred_at(fields: &mut Fields<'_>, now: DateTime<Utc>) -> Option<Option<DateTime<Utc>>> {
    let instant = fields.optional::<DateTime<Utc>>("occurred_at")?;
    if instant.is_some_and(|instant| instant > now || instant.year() < 1) {
        fields.refuse("occurred_at", "must be in the past, and in our era");
    }
    Some(instant.map(|instant| instant.trunc_subsecs(6)))
}

fn history_not_accepted() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "history-not-accepted")
        .detail("Only a server started with --accept-history takes occurred_at.")
}

impl FromRequest<CommandApi> for CommandRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &CommandApi) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let key = IdempotencyKey::of(&parts.headers)?;
        let expected_version = conditional::if_match(&parts.headers)?;
        let identity = parts.extensions.get::<Arc<Identity>>();
        let actor = identity.map_or(CALLER.into(), |identity| identity.actor()).into_owned();
        let command_id = match key {
            Some(key) => command_id(&actor, &target(&mut parts, api).await?, &key),
            None => ids::mint(),
        };
        // What it cost is not for a customer to say.
        let OnlyOf(only) = parts.extensions.get().cloned().unwrap_or(OnlyOf(None));
        let accept_history = api.settings.accept_history && only.is_none();
        let context = RequestContext::from_request_parts(&mut parts, api).await?;
        let body = JsonBody::from_request(Request::from_parts(parts, body), api).await?;
        Ok(CommandRequest { command_id, expected_version, context, actor, accept_history, body })
    }
}

/// Method and path with its target, decoded: a proxy may change how a path is escaped between a request
/// and its retry.
async fn target(parts: &mut Parts, api: &CommandApi) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, api).await;
    let params = params.map_err(|error| Problem::bad_request("invalid-path", error.body_text()))?;
    let path = parts.extensions.get::<MatchedPath>();
    let path = path.ok_or_else(|| Problem::internal("a command outside the router"))?.as_str();
    let path = params
        .iter()
        .fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
    Ok(format!("{} {path}", parts.method))
}

fn command_id(actor: &str, target: &str, key: &IdempotencyKey) -> Uuid {
    let name = format!("{actor}\n{target}\n{}", key.as_str());
    Uuid::new_v5(&COMMAND_IDS, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{CALLER, IdempotencyKey, command_id};
    use http::{HeaderMap, HeaderName, HeaderValue};

    /// Command ids are stored: an older binary's answers must be found by a newer one.
    #[test]
    fn the_command_id_of_a_key_never_changes() {
        let name = HeaderName::from_static("idempotency-key");
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("\"k-1\""))]);
        let key = IdempotencyKey::of(&headers).unwrap().unwrap();
        let id = command_id(CALLER, "POST /v1/stock/85123A/receive", &key);
        assert_eq!(id.to_string(), "325387c6-ccaa-5bec-84b5-76ab27ced65a");
    }
}
