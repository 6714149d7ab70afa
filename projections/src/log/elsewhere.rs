//! The other side of the endpoints of a log: how a follower in another process reads it.

use super::{Ends, LoggedEvent};
use crate::query::{Items, MOST};
use async_trait::async_trait;
use edge::{Peer, Unanswered};
use event_store::follow::{End, Owner};
use event_store::{Recorded, StoreError};

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

    fn unread(&self, why: String) -> StoreError {
        StoreError::Elsewhere { service: self.service.clone(), why }
    }

    fn unanswered(&self, error: &Unanswered) -> StoreError {
        self.unread(error.to_string())
    }
}

#[async_trait]
impl Owner for HttpOwner {
    async fn ends(&self) -> Result<Vec<End>, StoreError> {
        let path = format!("/v1/log/{}", self.service);
        let ends: Ends = self.owner.get(&path, &[]).await.map_err(|it| self.unanswered(&it))?;
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
                self.owner.get(&path, &query).await.map_err(|it| self.unanswered(&it))?;
            for event in page.items {
                let event = event.recorded().map_err(|error| self.unread(error.to_string()))?;
                if *event.service != *self.service || event.partition != partition {
                    return Err(self.unread(format!("it tells of {}", event.position())));
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
