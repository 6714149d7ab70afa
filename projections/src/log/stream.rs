//! One stream of a log as it is or as it was, at the owner: what tells the past elsewhere.

use super::LoggedEvent;
use crate::query::{AsOf, Asker, Items, failed, limit, told};
use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use edge::conditional::etag;
use edge::{Params, Problem};
use http::header;

/// `GET /v1/log/{service}/streams/{stream}`: its events, and no more of them than there were at a version or an instant
/// if that is asked for. The cursor of a stream is a version: `after=41` begins at 42, and without it at 1.
pub(crate) async fn list(
    asker: Asker,
    Path((service, stream)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let (as_of, after, limit) = params.read(|fields| {
        let as_of = fields.optional::<AsOf>("as_of");
        let after = fields.optional::<u64>("after");
        let limit = limit(fields);
        Some((as_of?, after?, limit?))
    })?;
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
    let after = after.map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX)).min(version);
    let events = log.read_stream(&stream, after, limit.min(version - after)).await;
    let events = events.map_err(failed)?;
    let next = events.last().map(|last| last.version).filter(|last| *last < version);
    let items = events.into_iter().map(LoggedEvent::of).collect::<Result<_, _>>();
    let items: Vec<_> = items.map_err(Problem::internal)?;
    let items = Items { items, next: next.map(|last| last.to_string()) };
    let answer = ([(header::ETAG, etag(version))], Json(items)).into_response();
    Ok(match at {
        Some(at) => told(at, answer),
        None => answer,
    })
}
