//! One stream of a log as it is or as it was, at the owner: what tells the past elsewhere.

use super::LoggedEvent;
use crate::query::{AsOf, Asker, Direction, Items, failed, limit, one_way, told};
use axum::extract::Path;
use axum::response::Response;
use edge::conditional::etag;
use edge::{Address, ParamFields, Params, Problem};
use http::header;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::str::FromStr;
use uuid::Uuid;

/// Commands that are asked for at once.
const MOST_COMMANDS: usize = 100;

/// Ids of commands, with commas between.
pub(crate) struct Commands(Vec<Uuid>);

impl FromStr for Commands {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let what = || format!("is 1 to {MOST_COMMANDS} ids of commands with commas between");
        let ids = text.split(',').map(|id| id.trim().parse()).collect::<Result<Vec<_>, _>>();
        let ids = ids.map_err(|_| what())?;
        if ids.len() <= MOST_COMMANDS { Ok(Commands(ids)) } else { Err(what()) }
    }
}

impl JsonSchema for Commands {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Commands".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let id = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
        let pattern = format!("^{id}(,{id}){{0,{}}}$", MOST_COMMANDS - 1);
        json_schema!({
            "type": "string",
            "description": "Ids of commands, of which the first events are shown and no others.",
            "pattern": pattern,
        })
    }
}

type Asked = (Option<AsOf>, Option<i64>, Direction, i64, bool, Option<Commands>, Address);

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<Asked> {
    let as_of = fields.optional("as_of");
    let (after, before) = (fields.optional::<u64>("after"), fields.optional("before"));
    let (limit, stored) = (limit(fields), fields.optional("stored"));
    let commands = fields.optional("command");
    let (cursor, direction) = one_way(fields, after?, before?)?;
    let cursor = cursor.map(|cursor| i64::try_from(cursor).unwrap_or(i64::MAX));
    let stored = stored?.unwrap_or(false);
    Some((as_of?, cursor, direction, limit?, stored, commands?, fields.address().clone()))
}

/// `GET /v1/log/{service}/streams/{stream}`: its events, and no more of them than there were at a version or an instant
/// if that is asked for. The cursor of a stream is a version: `after=41` begins at 42, without it at 1, and `before=42` ends at 41.
/// With `command` it is nothing but the first event of each of these commands, on one page.
pub(crate) async fn list(
    asker: Asker,
    Path((service, stream)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let (as_of, cursor, direction, limit, stored, commands, address) = params.read(asked)?;
    let none =
        || Problem::not_found(format!("There is no {stream} in {service}, or was none yet."));
    // Postgres keeps no NUL character in a text.
    let log = asker.log(&service).filter(|_| !stream.contains('\0')).ok_or_else(none)?;
    asker.has_lost_nothing_of(&[&*service]).await?;
    let shown = if stored { LoggedEvent::stored } else { LoggedEvent::of };
    if let Some(Commands(commands)) = commands {
        let streams = vec![stream; commands.len()];
        let events = log.read_commands(&streams, &commands).await.map_err(failed)?;
        let items = events.into_iter().map(shown).collect::<Result<_, _>>();
        let items: Vec<_> = items.map_err(Problem::internal)?;
        return Ok(Items { items, next: None, prev: None }.at(&address));
    }
    let at = match as_of {
        Some(as_of) => {
            let _place = asker.asks_of_the_past().await?;
            Some(asker.closed(&service, &[(&service, stream.clone())], as_of).await?)
        }
        None => None,
    };
    let version = match as_of {
        Some(AsOf::Version(version)) => version,
        Some(AsOf::Instant(_)) | None => log.version_at(&stream, at).await.map_err(failed)?,
    };
    if version == 0 {
        return Err(none());
    }
    let (after, last) = match direction {
        Direction::Forward => {
            let after = cursor.unwrap_or(0).min(version);
            (after, after.saturating_add(limit).min(version))
        }
        Direction::Backward => {
            let last = cursor.map_or(version, |before| before.saturating_sub(1)).clamp(0, version);
            (last.saturating_sub(limit).max(0), last)
        }
    };
    let events = log.read_stream(&stream, after, last - after).await;
    let events = events.map_err(failed)?;
    let items = events.into_iter().map(shown).collect::<Result<_, _>>();
    let items: Vec<_> = items.map_err(Problem::internal)?;
    let next = (last < version).then(|| last.to_string());
    let prev = (after > 0).then(|| (after + 1).to_string());
    let mut answer = Items { items, next, prev }.at(&address);
    answer.headers_mut().insert(header::ETAG, etag(version));
    Ok(match at {
        Some(at) => told(at, answer),
        None => answer,
    })
}
