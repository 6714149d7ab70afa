//! Whether the operations on one stream, some of them at the same time, can have happened one at a time.
//!
//! The search is that of J. M. Wing and C. Gong, "Testing and verifying concurrent objects" (Journal of Parallel
//! and Distributed Computing 17, 1993): of the operations that began before any that is left has ended, let one
//! happen, and go on; go back where the model would have answered otherwise. It forgets no configuration that it
//! has met, as in G. Lowe, "Testing for linearizability" (Concurrency and Computation 29(4), 2017), so it enters
//! each once. Streams are looked at one by one: a history of several objects is linearizable exactly if each
//! object's is (M. Herlihy and J. M. Wing, "Linearizability", TOPLAS 12(3), 1990).

use super::stream::{Ask, Stream, Told};
use std::collections::HashSet;

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) called: u64,
    pub(crate) ask: Ask,
    /// When and what. Nothing, if the outcome is unknown: it may happen at any time from the call on, or never.
    pub(crate) answered: Option<(u64, Told)>,
}

/// A set of operations by their number.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Happened(Vec<u64>);

impl Happened {
    fn has(&self, operation: usize) -> bool {
        self.0.get(operation / 64).is_some_and(|bits| bits & (1 << (operation % 64)) != 0)
    }

    fn with(&self, operation: usize) -> Self {
        let mut happened = self.clone();
        happened.0.resize(happened.0.len().max(operation / 64 + 1), 0);
        happened.0[operation / 64] |= 1 << (operation % 64);
        happened
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|bits| bits.count_ones()).sum()
    }
}

/// Each answered operation takes place between its call and its answer, in one order that explains all answers.
pub(crate) fn check(history: &[Operation]) -> Result<(), String> {
    let mut met = HashSet::new();
    let mut open = vec![(Happened::default(), Stream::default())];
    let mut furthest = open[0].clone();
    while let Some((happened, stream)) = open.pop() {
        if happened.count() >= furthest.0.count() {
            furthest = (happened.clone(), stream.clone());
        }
        let Some(first_answer) = first_answer(history, &happened) else { return Ok(()) };
        let begun = |(number, operation): &(usize, &Operation)| {
            !happened.has(*number) && operation.called < first_answer
        };
        let mut next = Vec::new();
        for (number, operation) in history.iter().enumerate().filter(begun) {
            let told = operation.answered.as_ref().map(|(_, told)| told);
            let Some(after) = stream.after(&operation.ask, told) else { continue };
            if after != stream {
                next.push((happened.with(number), after));
            } else if told.is_some() {
                // It is in nobody's way: if there is an order at all, there is one in which it comes now.
                next = vec![(happened.with(number), after)];
                break;
            }
        }
        // What was called first is tried first.
        open.extend(
            next.into_iter().rev().filter(|configuration| met.insert(configuration.clone())),
        );
    }
    Err(explain(history, &furthest))
}

/// When the first of the operations that have not happened was answered.
fn first_answer(history: &[Operation], happened: &Happened) -> Option<u64> {
    let left = history.iter().enumerate().filter(|(number, _)| !happened.has(*number));
    left.filter_map(|(_, operation)| operation.answered.as_ref().map(|(at, _)| *at)).min()
}

fn explain(history: &[Operation], (happened, stream): &(Happened, Stream)) -> String {
    let first_answer = first_answer(history, happened).unwrap_or(u64::MAX);
    let left =
        history.iter().enumerate().filter(|(n, o)| !happened.has(*n) && o.called < first_answer);
    let left: Vec<String> = left.map(|(_, operation)| format!("{operation:?}")).collect();
    let (count, all, left) = (happened.count(), history.len(), left.join("\n  "));
    format!(
        "after {count} of {all} operations the stream is {stream:?}; none of these can follow:\n  {left}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::stream::Of;
    use crate::support::id;

    fn append(called: u64, command: u128, expected: i64, answered: Option<(u64, Of)>) -> Operation {
        let ask = Ask::Append { expected, commands: vec![(id(command), 1)] };
        let answered = answered.map(|(at, of)| (at, Told::Verdicts(vec![of])));
        Operation { called, ask, answered }
    }

    fn read(called: u64, answered: u64, commands: &[u128]) -> Operation {
        let events = (1..).zip(commands).map(|(version, c)| (version, id(*c), 0)).collect();
        Operation { called, ask: Ask::Read, answered: Some((answered, Told::Events(events))) }
    }

    #[test]
    fn what_overlaps_may_happen_in_any_order() {
        let (first, second) = (Some((9, Of::Ok(Some(1)))), Some((8, Of::Conflict(1))));
        let both = [append(1, 1, 0, first), append(2, 2, 0, second), read(3, 4, &[])];
        assert_eq!(check(&both), Ok(()));
    }

    #[test]
    fn what_was_acknowledged_is_seen_by_who_asks_later() {
        let late = [append(1, 1, 0, Some((2, Of::Ok(Some(1))))), read(3, 4, &[])];
        assert!(check(&late).is_err());
    }

    #[test]
    fn of_two_that_expect_the_same_version_one_passes() {
        let ok = || Some((9, Of::Ok(Some(1))));
        assert!(check(&[append(1, 1, 0, ok()), append(2, 2, 0, ok())]).is_err());
    }

    #[test]
    fn what_has_an_unknown_outcome_may_happen_late_or_never_and_not_twice() {
        let lost = || append(1, 1, 0, None);
        assert_eq!(check(&[lost(), read(2, 3, &[]), read(4, 5, &[1])]), Ok(()));
        assert_eq!(check(&[lost(), read(2, 3, &[]), read(4, 5, &[])]), Ok(()));
        assert!(check(&[lost(), read(2, 3, &[1]), read(4, 5, &[])]).is_err());
        assert!(check(&[lost(), read(2, 3, &[1]), read(4, 5, &[1, 1])]).is_err());
    }

    #[test]
    fn an_append_whose_answer_was_lost_may_be_answered_as_its_own_repeat() {
        let already = Of::Already { version: 1, events: 1 };
        assert_eq!(check(&[append(1, 1, 0, Some((2, already)))]), Ok(()));
    }
}
