//! One order in a small world: the real deciders of order, stock, payment and checkout, and between
//! them a transport that delays, repeats and overtakes as much as the real one may.
//!
//! What it keeps from the real one: the facts of one stream come in order the first time, and a
//! request that made events meets its own command id when it comes again.

use decider::{Decider, Owes};
use domain::checkout::checkout::{self, Attention, Checkout, Request};
use domain::inventory::stock::Stock;
use domain::orders::order::{self, Order};
use domain::payments::payment::{Outcome, Payment};
use domain::values::Sku;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

mod check;
mod facts;
mod shop;

pub(crate) use shop::Shop;

/// One thing that may happen next.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    /// A worker makes the request of this key, or finds that its deadline has passed; also one that
    /// is owed no more, late.
    Ask(String),
    /// The owner rejects the request of this key, though it has no reason to.
    Refuse(String),
    /// The next fact of a stream reaches the checkout.
    Deliver(Source),
    /// An old fact of a stream reaches it once more.
    Repeat(Source, usize),
    /// The provider answers the call that is open.
    Answer(Outcome),
    CustomerCancels,
    MerchantShips,
    /// A person looks at the checkout.
    Help(Help),
}

/// What a person may do about a checkout that needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Help {
    Retry,
    Cancel,
    Settle,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Order,
    Payment,
    Stock(Sku),
}

/// A stream as its owner has it, and how much of it has reached the checkout.
struct Stream<D: Decider> {
    state: D::State,
    log: Vec<D::Event>,
    command_ids: BTreeSet<String>,
    delivered: usize,
    /// A hash of the log.
    trace: u64,
}

impl<D: Decider> Stream<D> {
    fn new() -> Self {
        Self {
            state: D::State::default(),
            log: vec![],
            command_ids: BTreeSet::new(),
            delivered: 0,
            trace: 0,
        }
    }

    fn send(&mut self, id: &str, command: &D::Command) -> Result<(), D::Rejection> {
        if self.command_ids.contains(id) {
            return Ok(());
        }
        let events = D::decide(&self.state, command)?;
        if !events.is_empty() {
            self.command_ids.insert(id.to_owned());
            self.take(events);
        }
        Ok(())
    }

    fn take(&mut self, events: Vec<D::Event>) {
        self.trace = hash_of(&(self.trace, format!("{events:?}")));
        self.state = D::fold(std::mem::take(&mut self.state), &events);
        self.log.extend(events);
    }
}

/// By hand, because a derived one would ask for deciders that can be cloned.
impl<D: Decider> Clone for Stream<D> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            log: self.log.clone(),
            command_ids: self.command_ids.clone(),
            delivered: self.delivered,
            trace: self.trace,
        }
    }
}

#[derive(Clone)]
pub(crate) struct World {
    order: Stream<Order>,
    payment: Stream<Payment>,
    stock: BTreeMap<Sku, Stream<Stock>>,
    checkout: Stream<Checkout>,
    /// A hash of what the checkout knows.
    known: u64,
    /// Every request that was ever owed.
    requests: BTreeMap<String, Request>,
    /// The keys that are owed no more.
    gone: BTreeSet<String>,
    asked: BTreeSet<String>,
    refused: BTreeSet<String>,
    refusals_left: u32,
    helps_left: u32,
    /// What people did.
    helped: BTreeSet<Help>,
}

impl World {
    /// All that may happen next, though some of it will change nothing. What goes well comes first.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves: Vec<Move> =
            self.sources().into_iter().map(|(source, _)| Move::Deliver(source)).collect();
        let is_deadline = |key: &String| matches!(self.requests[key], Request::Deadline { .. });
        let (deadlines, requests): (Vec<String>, Vec<String>) =
            self.requests.keys().cloned().partition(is_deadline);
        moves.extend(requests.into_iter().map(Move::Ask));
        if !Payment::pending(&self.payment.state).is_empty() {
            let reason = || "no".parse().unwrap();
            moves.push(Move::Answer(Outcome::Succeeded { reference: "pi_1".to_owned() }));
            moves.push(Move::Answer(Outcome::Declined { reason: reason() }));
            moves.push(Move::Answer(Outcome::Failed { reason: reason() }));
        }
        moves.extend([Move::MerchantShips, Move::CustomerCancels]);
        moves.extend(deadlines.into_iter().map(Move::Ask));
        for (source, delivered) in self.sources() {
            moves.extend((0..delivered).map(|old| Move::Repeat(source.clone(), old)));
        }
        if self.refusals_left > 0 {
            let done = |key: &String| self.asked.contains(key) || self.gone.contains(key);
            let open = self.requests.keys().filter(|key| !done(key) && !is_deadline(key));
            moves.extend(open.cloned().map(Move::Refuse));
        }
        if self.helps_left > 0 {
            moves.extend([Help::Retry, Help::Cancel, Help::Settle].map(Move::Help));
        }
        moves
    }

    pub(crate) fn make(&mut self, next: &Move) {
        match next {
            Move::Ask(key) => self.ask(key),
            Move::Refuse(key) => {
                self.refusals_left -= 1;
                self.refused.insert(key.clone());
                self.ask(key);
            }
            Move::Deliver(source) => {
                let place = self.advance(source);
                self.deliver(source, place);
            }
            Move::Repeat(source, place) => self.deliver(source, *place),
            Move::Answer(outcome) => self.answer(outcome),
            Move::CustomerCancels => {
                let reason = order::CancelReason::CustomerRequest;
                let _refused = self.order.send("customer", &order::Command::Cancel { reason });
            }
            Move::MerchantShips => {
                let _refused = self.order.send("merchant", &order::Command::Ship {});
            }
            Move::Help(help) => self.help(*help),
        }
        self.note_what_is_owed();
        self.check_now();
    }

    /// The same for two worlds in which the same things may still happen. In which order the checkout
    /// heard its facts makes no difference, only what it knows.
    pub(crate) fn fingerprint(&self) -> u64 {
        let stock: Vec<_> =
            self.stock.values().map(|stock| (stock.trace, stock.delivered)).collect();
        hash_of(&(
            (self.order.trace, self.order.delivered),
            (self.payment.trace, self.payment.delivered),
            stock,
            self.known,
            // Only what nobody was asked for yet can be refused.
            ((self.refusals_left > 0).then_some(&self.asked), &self.refused, &self.gone),
            (self.helps_left, &self.helped, self.receipts()),
        ))
    }

    /// Why a person was called, each reason once.
    pub(crate) fn attention(&self) -> Vec<Attention> {
        let mut reasons = vec![];
        for event in &self.checkout.log {
            if let checkout::Event::NeedsAttention { reason } = event
                && !reasons.contains(reason)
            {
                reasons.push(*reason);
            }
        }
        reasons.sort_by_key(|reason| format!("{reason:?}"));
        reasons
    }

    /// Whether a person was called and has not come.
    pub(crate) fn needs_attention(&self) -> bool {
        match &self.checkout.state {
            checkout::State::Open(work) => work.attention,
            checkout::State::NotStarted | checkout::State::Completed => false,
        }
    }

    fn ask(&mut self, key: &str) {
        self.asked.insert(key.to_owned());
        let answer = if self.refused.contains(key) {
            Err("no")
        } else {
            self.carry_out(key, self.requests[key].clone())
        };
        if let Err(slug) = answer {
            let problem = slug.parse().unwrap();
            let refused = checkout::Command::RequestRefused { key: key.to_owned(), problem };
            self.tell(format!("refused {key}"), refused);
        }
    }

    /// Before a person has done anything, no command id helps the checkout here: it has to bear every
    /// fact twice by itself. A retry then makes things as they were before some facts, and whoever heard
    /// those already knows them by their ids.
    fn tell(&mut self, id: String, fact: checkout::Command) {
        if !self.helped.is_empty() && self.checkout.command_ids.contains(&id) {
            return;
        }
        let events = Checkout::decide(&self.checkout.state, &fact).expect("no fact is rejected");
        if !events.is_empty() {
            self.checkout.command_ids.insert(id);
            self.take(events);
        }
    }

    fn help(&mut self, help: Help) {
        let (reason, by) = ("seen to".parse().unwrap(), None);
        let command = match help {
            Help::Retry => checkout::Command::Retry { reason, by },
            Help::Cancel => checkout::Command::Cancel { reason, by },
            Help::Settle => checkout::Command::Settle { reason, by },
        };
        if let Ok(events) = Checkout::decide(&self.checkout.state, &command) {
            assert!(self.needs_attention(), "helped without need");
            self.helps_left -= 1;
            self.helped.insert(help);
            self.take(events);
        }
    }

    fn take(&mut self, events: Vec<checkout::Event>) {
        self.checkout.take(events);
        self.known = hash_of(&format!("{:?}{:?}", self.checkout.state, self.attention()));
    }

    /// The ids that make a difference.
    fn receipts(&self) -> Option<&BTreeSet<String>> {
        (self.helps_left > 0 || !self.helped.is_empty()).then_some(&self.checkout.command_ids)
    }

    fn note_what_is_owed(&mut self) {
        let owed = Checkout::pending(&self.checkout.state);
        let keys: BTreeSet<&String> = owed.iter().map(|due| &due.key).collect();
        assert_eq!(keys.len(), owed.len(), "a key is owed twice at once");
        let gone = self.requests.keys().filter(|key| !keys.contains(key)).cloned();
        self.gone.extend(gone.collect::<Vec<_>>());
        for due in owed {
            assert!(!self.gone.contains(&due.key), "{} is owed a second time", due.key);
            let before = self.requests.insert(due.key, due.request.clone());
            assert!(before.is_none_or(|before| before == due.request), "another request, same key");
        }
    }

    fn sources(&self) -> Vec<(Source, usize)> {
        let stock = self.stock.iter().map(|(sku, s)| (Source::Stock(sku.clone()), s.delivered));
        [(Source::Order, self.order.delivered), (Source::Payment, self.payment.delivered)]
            .into_iter()
            .chain(stock)
            .collect()
    }
}

fn hash_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
