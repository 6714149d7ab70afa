//! A batch of commands of one stream, decided in turn, as a chain.

use super::folded::Folded;
use super::{Answer, Done, TransactError, Waiting, event_id};
use crate::append::StoredMetadata;
use crate::{Chain, ChainOutcome, Entry, EventEntry, Log, Position, Verdict, encode};
use decider::Decider;
use uuid::Uuid;

/// What was decided on a command, before it is known whether the chain passes.
pub(super) enum Decided<R> {
    Events(Vec<&'static str>),
    Rejected(R),
    WrongVersion(i64),
}

/// The commands of a batch, each with all who wait for it: the same command id may be queued twice.
pub(super) struct Distinct<D: Decider> {
    pub(super) first: Waiting<D>,
    pub(super) others: Vec<Waiting<D>>,
}

impl<D: Decider> Distinct<D> {
    pub(super) fn of(batch: impl IntoIterator<Item = Waiting<D>>) -> Vec<Self> {
        let mut distinct: Vec<Self> = Vec::new();
        for waiting in batch {
            let id = waiting.envelope.command_id;
            match distinct.iter_mut().find(|d| d.command_id() == id) {
                Some(known) => known.others.push(waiting),
                None => distinct.push(Distinct { first: waiting, others: Vec::new() }),
            }
        }
        distinct
    }

    /// None, if there is nobody.
    pub(super) fn some_of(batch: impl IntoIterator<Item = Waiting<D>>) -> Option<Vec<Self>> {
        Some(Self::of(batch)).filter(|distinct| !distinct.is_empty())
    }

    pub(super) fn command_id(&self) -> Uuid {
        self.first.envelope.command_id
    }

    /// Answers all who sent the same. Those who sent another body under the same id are refused if the
    /// first one stands; else they come back, because nothing stands in their way.
    pub(super) fn answer(self, answer: &Answer<D>) -> Vec<Waiting<D>> {
        let Distinct { first, others } = self;
        let same = |other: &Waiting<D>| other.envelope.fingerprint == first.envelope.fingerprint;
        let (same, others): (Vec<_>, Vec<_>) = others.into_iter().partition(same);
        // Whoever went away is not told.
        for waiting in same.into_iter().chain([first]) {
            let _ = waiting.answer.send(answer.clone());
        }
        let stands = answer.as_ref().is_ok_and(|done| !done.events.is_empty());
        if !stands {
            return others;
        }
        for other in others {
            let _ = other.answer.send(Err(TransactError::OtherBody));
        }
        Vec::new()
    }

    /// Tells all of them that it cannot be done, whatever they sent.
    pub(super) fn fail(self, error: &TransactError<D::Rejection>) {
        for waiting in self.others.into_iter().chain([self.first]) {
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }
}

/// Decides each command on the state that the ones before it leave.
pub(super) fn decide<D: Decider>(
    stream: &str,
    mut folded: Folded<D>,
    batch: &[Distinct<D>],
) -> (Chain, Vec<Decided<D::Rejection>>, Folded<D>) {
    let expected = folded.version;
    let mut entries = Vec::with_capacity(batch.len());
    let mut decided = Vec::with_capacity(batch.len());
    for Distinct { first, .. } in batch {
        let envelope = &first.envelope;
        let wrong = envelope.expected_version.is_some_and(|asked| asked != folded.version);
        let decision = if wrong {
            Err(Decided::WrongVersion(folded.version))
        } else {
            D::decide(&folded.state, &first.command).map_err(Decided::Rejected)
        };
        let mut events = Vec::new();
        decided.push(match decision {
            Err(refusal) => refusal,
            Ok(new) => {
                let mut types = Vec::with_capacity(new.len());
                for (event, ordinal) in new.iter().zip(0..) {
                    let (event_type, schema_version, payload) = encode(event);
                    types.push(event_type);
                    folded.state = D::evolve(std::mem::take(&mut folded.state), event);
                    folded.version += 1;
                    folded.bytes += payload.len();
                    let metadata = StoredMetadata {
                        metadata: envelope.metadata.clone(),
                        fingerprint: envelope.fingerprint.clone(),
                    };
                    folded.event_id = event_id(stream, envelope.command_id, ordinal);
                    events.push(EventEntry {
                        event_id: folded.event_id,
                        event_type,
                        schema_version,
                        payload,
                        metadata,
                        occurred_at: envelope.occurred_at,
                    });
                }
                Decided::Events(types)
            }
        });
        entries.push(Entry { command_id: envelope.command_id, events });
    }
    (Chain { stream: stream.to_owned(), expected, entries }, decided, folded)
}

/// The answers of a chain that passed, and the position of the stream's last event.
pub(super) fn answers<D: Decider>(
    log: &Log,
    stream: &str,
    outcome: &ChainOutcome,
    decided: Vec<Decided<D::Rejection>>,
    before: (i64, Option<Position>),
) -> (Vec<Answer<D>>, Option<Position>) {
    let (mut version, mut last) = before;
    let answers = decided
        .into_iter()
        .zip(&outcome.verdicts)
        .map(|(decided, verdict)| match decided {
            Decided::Rejected(rejection) => {
                Err(TransactError::Rejected { rejection, position: last.clone() })
            }
            Decided::WrongVersion(actual) => Err(TransactError::WrongVersion { actual }),
            Decided::Events(types) => {
                let count = i64::try_from(types.len()).unwrap_or(i64::MAX);
                if let (Verdict::Ok { offset, .. }, 1..) = (verdict, count) {
                    version += count;
                    last = Some(Position {
                        service: log.service().to_string(),
                        partition: outcome.partition,
                        epoch: outcome.epoch,
                        offset: offset + count - 1,
                    });
                }
                let events = types.into_iter().map(str::to_owned).collect();
                Ok(Done { stream: stream.to_owned(), version, events, position: last.clone() })
            }
        })
        .collect();
    (answers, last)
}
