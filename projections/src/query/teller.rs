//! Who tells of a stream: its log, or whoever owns the log elsewhere.

use super::Queries;
use crate::log::{page_of, unanswered};
use edge::Peer;
use event_store::{Log, Recorded, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[derive(Clone, Copy)]
pub enum Teller<'a> {
    Here(&'a Log),
    Elsewhere { service: &'a str, owner: &'a Peer },
}

/// Events that are read at once.
const PAGE: i64 = 1_000;
/// Commands that are asked for at once, so that the question is no longer than a line may be.
const COMMANDS: usize = 50;

impl Queries {
    pub(crate) fn teller<'a>(&'a self, service: &'a str) -> Option<Teller<'a>> {
        let here = self.log(service).map(Teller::Here);
        here.or_else(|| Some(Teller::Elsewhere { service, owner: self.owner(service)? }))
    }
}

impl Teller<'_> {
    /// All events of a stream.
    pub(crate) async fn stream(&self, name: &str) -> Result<Vec<Recorded>, StoreError> {
        let mut events: Vec<Recorded> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event.version);
            let (page, is_last) = match self {
                Teller::Here(log) => {
                    let page = log.read_stream(name, after, PAGE).await?;
                    let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
                    (page, is_last)
                }
                Teller::Elsewhere { service, owner } => {
                    let query = [("after", after.to_string()), ("limit", PAGE.to_string())];
                    let page = page_of(owner, service, name, &query).await.map_err(unanswered)?;
                    (page.events, page.is_last)
                }
            };
            events.extend(page);
            if is_last {
                return Ok(events);
            }
        }
    }

    /// What commands appended to streams: of each the first event. The streams may be too long to be read.
    pub(crate) async fn commands(
        &self,
        sought: &BTreeSet<(String, Uuid)>,
    ) -> Result<Vec<Recorded>, StoreError> {
        let (service, owner) = match self {
            Teller::Here(log) => {
                let (streams, commands): (Vec<_>, Vec<_>) = sought.iter().cloned().unzip();
                return log.read_commands(&streams, &commands).await;
            }
            Teller::Elsewhere { service, owner } => (service, owner),
        };
        let mut by_stream = BTreeMap::<&str, Vec<String>>::new();
        for (stream, command) in sought {
            by_stream.entry(stream).or_default().push(command.to_string());
        }
        let mut events = Vec::new();
        for (stream, commands) in by_stream {
            for commands in commands.chunks(COMMANDS) {
                let query = [("command", commands.join(","))];
                let page = page_of(owner, service, stream, &query).await.map_err(unanswered)?;
                events.extend(page.events);
            }
        }
        Ok(events)
    }
}
