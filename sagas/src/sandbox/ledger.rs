//! What the book says, folded: intents, refunds, and the answer that is kept under each key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::character::{Character, Decline};

pub(super) type Metadata = BTreeMap<String, String>;

/// One line of the book: a request that was carried out, what it changed, and what it was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Unix time in seconds.
    pub(super) at: i64,
    pub(super) key: Option<String>,
    /// Path and parameters: what a repeat under the same key must equal.
    pub(super) request: String,
    pub(super) facts: Vec<Fact>,
    pub(super) status: u16,
    pub(super) body: Box<RawValue>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fact {
    Authorised {
        intent: String,
        amount: i64,
        currency: String,
        method: String,
        manual: bool,
        metadata: Metadata,
    },
    Declined {
        intent: String,
        amount: i64,
        currency: String,
        method: String,
        manual: bool,
        metadata: Metadata,
    },
    Captured {
        intent: String,
        amount: i64,
    },
    Cancelled {
        intent: String,
        reason: Option<String>,
    },
    Refunded {
        refund: String,
        intent: String,
        amount: i64,
        metadata: Metadata,
    },
}

/// A fact about an intent that the book does not know.
#[derive(Debug, thiserror::Error)]
#[error("the payment intent {0} is not in the book")]
pub(super) struct UnknownIntent(String);

#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) method: String,
    pub(super) manual: bool,
    pub(super) metadata: Metadata,
    pub(super) created: i64,
    pub(super) stage: Stage,
}

#[derive(Clone, Debug)]
pub(super) enum Stage {
    Declined,
    Held,
    Captured { amount: i64, refunded: i64 },
    Cancelled { at: i64, reason: Option<String>, held: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) intent: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) metadata: Metadata,
    pub(super) created: i64,
}

/// An answer that a repeat under the same key gets again.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) body: Arc<str>,
}

#[derive(Default)]
pub(super) struct Ledger {
    /// In the order they were made.
    pub(super) intents: Vec<Intent>,
    pub(super) refunds: Vec<Refund>,
    pub(super) kept: HashMap<String, Kept>,
    index: HashMap<String, usize>,
    by_order: HashMap<String, Vec<usize>>,
    refunds_of: HashMap<String, Vec<usize>>,
}

impl Ledger {
    pub(super) fn intent(&self, id: &str) -> Option<&Intent> {
        self.index.get(id).and_then(|&at| self.intents.get(at))
    }

    pub(super) fn of_order(&self, order: &str) -> impl Iterator<Item = &Intent> {
        let places = self.by_order.get(order).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|&at| self.intents.get(at))
    }

    pub(super) fn refunds_of(&self, intent: &str) -> impl DoubleEndedIterator<Item = &Refund> {
        let places = self.refunds_of.get(intent).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|&at| self.refunds.get(at))
    }

    /// Posts a line of the book.
    pub(super) fn post(&mut self, entry: &Entry) -> Result<(), UnknownIntent> {
        for fact in &entry.facts {
            self.apply(fact, entry.at)?;
        }
        self.keep(entry);
        Ok(())
    }

    /// Remembers the answer under its key.
    pub(super) fn keep(&mut self, entry: &Entry) {
        if let Some(key) = &entry.key {
            let kept = Kept {
                request: entry.request.clone(),
                status: entry.status,
                body: entry.body.get().into(),
            };
            self.kept.insert(key.clone(), kept);
        }
    }

    pub(super) fn apply(&mut self, fact: &Fact, at: i64) -> Result<(), UnknownIntent> {
        match fact {
            Fact::Authorised { intent, amount, currency, method, manual, metadata }
            | Fact::Declined { intent, amount, currency, method, manual, metadata } => {
                let declined = matches!(fact, Fact::Declined { .. });
                self.add(Intent {
                    id: intent.clone(),
                    amount: *amount,
                    currency: currency.clone(),
                    method: method.clone(),
                    manual: *manual,
                    metadata: metadata.clone(),
                    created: at,
                    stage: if declined { Stage::Declined } else { Stage::Held },
                });
            }
            Fact::Captured { intent, amount } => {
                self.known(intent)?.stage = Stage::Captured { amount: *amount, refunded: 0 };
            }
            Fact::Cancelled { intent, reason } => {
                let intent = self.known(intent)?;
                let held = matches!(intent.stage, Stage::Held);
                intent.stage = Stage::Cancelled { at, reason: reason.clone(), held };
            }
            Fact::Refunded { refund, intent, amount, metadata } => {
                let known = self.known(intent)?;
                if let Stage::Captured { refunded, .. } = &mut known.stage {
                    *refunded += amount;
                }
                let currency = known.currency.clone();
                self.refunds_of.entry(intent.clone()).or_default().push(self.refunds.len());
                self.refunds.push(Refund {
                    id: refund.clone(),
                    intent: intent.clone(),
                    amount: *amount,
                    currency,
                    metadata: metadata.clone(),
                    created: at,
                });
            }
        }
        Ok(())
    }

    fn add(&mut self, intent: Intent) {
        let place = self.intents.len();
        self.index.insert(intent.id.clone(), place);
        if let Some(order) = intent.metadata.get("order") {
            self.by_order.entry(order.clone()).or_default().push(place);
        }
        self.intents.push(intent);
    }

    fn known(&mut self, id: &str) -> Result<&mut Intent, UnknownIntent> {
        let place = self.index.get(id).copied();
        place.and_then(|at| self.intents.get_mut(at)).ok_or_else(|| UnknownIntent(id.to_owned()))
    }
}

impl Intent {
    pub(super) fn character(&self) -> Option<Character> {
        Character::of(&self.method)
    }

    pub(super) fn decline(&self) -> Option<Decline> {
        match self.character() {
            Some(Character::Declines(decline)) => Some(decline),
            Some(
                Character::Works
                | Character::Slow
                | Character::ErrorsFirst
                | Character::AnswerLost
                | Character::ErrorKept
                | Character::CaptureFails,
            )
            | None => None,
        }
    }
}
