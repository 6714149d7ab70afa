//! One stream of a log as it is or as it was, at the owner: what tells the past elsewhere.

use super::LoggedEvent;
use crate::query::{AsOf, Asker, Direction, Items, failed, limit, one_way, told};
use axum::extract::Path;
use axum::response::Response;
use edge::conditional::etag;
use edge::{Address, ParamFields, Params, Problem};
use http::header;

type Asked = (Option<AsOf>, Option<i64>, Direction, i64, bool, Address);

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<Asked> {
    let as_of = fields.optional("as_of");
    let (after, before) = (fields.optional::<u64>("after"), fields.optional("before"));
    let (limit, stored) = (limit(fields), fields.optional("stored"));
    let (cursor, direction) = one_way(fields, after?, before?)?;
    let cursor = cursor.map(|cursor| i64::try_from(cursor).unwrap_or(i64::MAX));
    let stored = stored?.unwrap_or(false);
    Some((as_of?, cursor, direction, limit?, stored, fields.address().clone()))
}

/// `GET /v1/log/{service}/streams/{stream}`: its events, and no more of them than there were at a version or an instant
/// if that is asked for. The cursor of a stream is a version: `after=41` begins at 42, without it at 1, and `before=42` ends at 41.
pub(crate) async fn list(
    asker: Asker,
    Path((service, stream)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let (as_of, cursor, direction, limit, stored, address) = params.read(asked)?;
    let none =
        || Problem::not_found(format!("There is no {stream} in {service}, or was none yet."));
    // Postgres keeps no NUL character in a text.
    let log = asker.log(&service).filter(|_| !stream.contains('\0')).ok_or_else(none)?;
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
    let shown = if stored { LoggedEvent::stored } else { LoggedEvent::of };
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
