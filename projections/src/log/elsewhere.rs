//! The other side of the endpoints of a log: how a follower in another process reads it.

use super::{Ends, LoggedEvent};
use crate::query::{Items, MOST};
use async_trait::async_trait;
use edge::conditional::MIN_POSITION;
use edge::{Peer, Unanswered};
use event_store::follow::{End, Owner};
use event_store::{BadPosition, Position, Recorded, StoreError};
use http::{HeaderMap, HeaderValue, StatusCode};

/// Asks the owner of a log over HTTP. An event that it tells equals the one read from the log.
pub struct HttpOwner {
    service: String,
    owner: Peer,
}

impl HttpOwner {
    /// `owner` answers for the log of `service`.
    #[must_use]
    pub fn new(service: &str, owner: Peer) -> Self {
        HttpOwner { service: service.to_owned(), owner }
    }

    fn not_understood(&self, why: String) -> StoreError {
        StoreError::Elsewhere { service: self.service.clone(), why, passes: false }
    }
}

/// A log that is not read because its owner gave no answer.
pub(crate) fn unanswered(error: Unanswered) -> StoreError {
    let (why, passes) = (error.to_string(), error.passes());
    StoreError::Elsewhere { service: error.service().to_owned(), why, passes }
}

/// Some events of a stream, as its owner tells them.
pub(crate) struct Told {
    pub(crate) events: Vec<Recorded>,
    pub(crate) is_last: bool,
}

/// A page of a stream, by the word of whoever owns its log; nothing if there is no such stream.
pub(crate) async fn page_of(
    owner: &Peer,
    service: &str,
    stream: &str,
    query: &[(&str, String)],
) -> Result<Told, Unanswered> {
    let path = format!("/v1/log/{service}/streams/{stream}");
    let query: Vec<_> = query.iter().cloned().chain([("stored", "true".to_owned())]).collect();
    let page: Items<LoggedEvent> = match owner.get(&path, &query).await {
        Ok(page) => page,
        // There was none yet.
        Err(Unanswered::Status(_, StatusCode::NOT_FOUND, _)) => {
            return Ok(Told { events: Vec::new(), is_last: true });
        }
        Err(error) => return Err(error),
    };
    let events = page.items.into_iter().map(LoggedEvent::recorded).collect::<Result<_, _>>();
    let not_understood =
        |error: BadPosition| Unanswered::NotUnderstood(service.to_owned(), error.to_string());
    Ok(Told { events: events.map_err(not_understood)?, is_last: page.next.is_none() })
}

/// The first event of a stream, by the word of whoever owns its log; none if there is no such stream.
///
/// # Errors
/// If the owner gives no answer, or one that is not understood.
pub async fn first_of(owner: &Peer, stream: &str) -> Result<Option<Recorded>, Unanswered> {
    let told = page_of(owner, owner.service(), stream, &[("limit", "1".to_owned())]).await?;
    Ok(told.events.into_iter().next())
}

/// Whether a log has lost a position, by the word of whoever owns it.
pub(crate) async fn has_lost(owner: &Peer, position: &Position) -> Result<bool, Unanswered> {
    let service = &position.service;
    let min = HeaderValue::try_from(position.to_string());
    let min = min.map_err(|error| Unanswered::NotUnderstood(service.clone(), error.to_string()))?;
    let headers = HeaderMap::from_iter([(MIN_POSITION, min)]);
    match owner.get_with::<Ends>(&format!("/v1/log/{service}"), &[], &headers).await {
        Ok(_) => Ok(false),
        Err(Unanswered::Status(_, StatusCode::GONE, _)) => Ok(true),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Owner for HttpOwner {
    async fn ends(&self) -> Result<Vec<End>, StoreError> {
        let path = format!("/v1/log/{}", self.service);
        let ends: Ends = self.owner.get(&path, &[]).await.map_err(unanswered)?;
        Ok(ends.partitions.iter().map(|it| End { epoch: it.epoch, next_offset: it.next }).collect())
    }

    async fn read_partition(
        &self,
        partition: i32,
        from_offset: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let path = format!("/v1/log/{}/{partition}", self.service);
        let (mut events, mut next) = (Vec::new(), from_offset);
        loop {
            let left = limit - i64::try_from(events.len()).unwrap_or(i64::MAX);
            if left <= 0 {
                return Ok(events);
            }
            let mut query =
                vec![("stored", "true".to_owned()), ("limit", left.min(MOST).to_string())];
            if next > 0 {
                query.push(("after", (next - 1).to_string()));
            }
            let page: Items<LoggedEvent> =
                self.owner.get(&path, &query).await.map_err(unanswered)?;
            for event in page.items {
                let event =
                    event.recorded().map_err(|error| self.not_understood(error.to_string()))?;
                if *event.service != *self.service || event.partition != partition {
                    return Err(self.not_understood(format!("it tells of {}", event.position())));
                }
                next = event.offset + 1;
                events.push(event);
            }
            if page.next.is_none() {
                return Ok(events);
            }
        }
    }
}
