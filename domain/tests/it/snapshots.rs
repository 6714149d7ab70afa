//! States that are kept beside the log: each version of them stands for one form and one fold.

use crate::corpus;
use decider::{Event, Snapshot};
use domain::catalogue::product::Product;
use domain::inventory::stock::Stock;
use proptest::prelude::*;
use std::fmt::Debug;
use uuid::Uuid;

/// What every version of a state is folded to. Lines are added and never edited: where the last one no longer fits,
/// the fold or the form has changed, and what was kept until now must not be taken for what would be folded now.
const FOLDS: &[(&str, i32, &str)] = &[
    ("product", 1, "69f77085-2d45-533d-9ba3-30281ec45174"),
    ("stock", 1, "2be8b820-340b-5741-8495-584be04ae0aa"),
];

/// Every event of the corpus, and another one of its kind, about another order.
fn events<D: Snapshot>() -> Vec<D::Event> {
    let mut events = Vec::new();
    for ((type_, version), payload) in corpus::corpus() {
        let other = payload.replace("5f0c1b7e", "7a1d2c3b").replace(":6", ":2");
        let other = Some(other).filter(|other| *other != payload);
        events.extend([Some(payload), other].into_iter().flatten().filter_map(|payload| {
            let known = D::Event::TYPES.iter().any(|(known, _)| *known == type_);
            known.then(|| corpus::read::<D::Event>(&type_, version, &payload).unwrap())
        }));
    }
    events
}

/// What all histories of up to four events are folded to, and which events there are.
fn fold<D: Snapshot>() -> String {
    let mut told = format!("{:?}\n", D::Event::TYPES);
    let (events, mut states) = (events::<D>(), vec![D::State::default()]);
    for _ in 0..4 {
        let next = |state: &D::State| {
            let state = state.clone();
            events.iter().map(move |event| D::evolve(state.clone(), event))
        };
        states = states.iter().flat_map(next).collect();
        told.extend(states.iter().map(|state| serde_json::to_string(state).unwrap() + "\n"));
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, told.as_bytes()).to_string()
}

fn is_pinned<D: Snapshot>() {
    let (category, version, fold) = (D::CATEGORY, D::STATE_VERSION, fold::<D>());
    let known: Vec<i32> = FOLDS.iter().filter(|it| it.0 == category).map(|it| it.1).collect();
    assert!(
        FOLDS.contains(&(category, version, &fold)),
        "the state of a {category}, or what events make of it, is no longer that of version \
         {version}: raise its STATE_VERSION, and add (\"{category}\", {}, \"{fold}\") to the folds",
        known.last().map_or(1, |last| last + 1),
    );
}

#[test]
fn a_fold_that_changes_has_another_version() {
    is_pinned::<Product>();
    is_pinned::<Stock>();
}

/// What is read back is what was kept, at every point of a history.
fn is_kept<D: Snapshot<State: PartialEq + Debug>>(events: &[D::Event], picks: &[usize]) {
    let mut state = D::State::default();
    for pick in picks {
        state = D::evolve(state, &events[pick % events.len()]);
        let kept = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<D::State>(&kept).unwrap(), state, "{kept}");
    }
}

#[test]
fn a_state_is_read_back_as_it_was_kept() {
    let (products, stocks) = (events::<Product>(), events::<Stock>());
    proptest!(|(picks in prop::collection::vec(0..100_usize, 0..40))| {
        is_kept::<Product>(&products, &picks);
        is_kept::<Stock>(&stocks, &picks);
    });
}
