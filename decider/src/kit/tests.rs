use super::*;
use crate::Event;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A lamp that owes a bill while it is lit.
struct Lamp;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Dark,
    Lit,
    Broken,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Command {
    Light,
    Flip,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Happened {
    #[serde(rename = "lamp.lit")]
    Lit {},
    #[serde(rename = "lamp.broken")]
    Broken {},
}

impl Event for Happened {
    const TYPES: &'static [(&'static str, i32)] = &[("lamp.lit", 1), ("lamp.broken", 1)];
}

#[derive(Clone, Debug, PartialEq)]
struct IsBroken;

impl fmt::Display for IsBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lamp is broken")
    }
}

impl std::error::Error for IsBroken {}

impl Decider for Lamp {
    const CATEGORY: &'static str = "lamp";
    type State = State;
    type Command = Command;
    type Event = Happened;
    type Rejection = IsBroken;

    fn decide(state: &State, command: &Command) -> Result<Vec<Happened>, IsBroken> {
        match (state, command) {
            (State::Broken, Command::Light | Command::Flip) => Err(IsBroken),
            (State::Lit, Command::Light) => Ok(vec![]),
            (State::Dark, Command::Light | Command::Flip) => Ok(vec![Happened::Lit {}]),
            (State::Lit, Command::Flip) => Ok(vec![Happened::Broken {}]),
        }
    }

    fn evolve(_state: State, event: &Happened) -> State {
        match event {
            Happened::Lit {} => State::Lit,
            Happened::Broken {} => State::Broken,
        }
    }
}

impl Owes for Lamp {
    type Request = u32;

    fn pending(state: &State) -> Vec<Due<u32>> {
        match state {
            State::Lit => {
                vec![Due { key: "bill".to_owned(), delay: Duration::from_secs(60), request: 5 }]
            }
            State::Dark | State::Broken => vec![],
        }
    }
}

#[test]
fn a_story_goes_on_from_what_was_decided() {
    let lamp = given::<Lamp>([])
        .owes([])
        .when_twice(Command::Light)
        .then([Happened::Lit {}])
        .owes(["bill"])
        .when(Command::Light)
        .then_nothing();
    assert_eq!(lamp.due("bill").request, 5);
    lamp.when(Command::Flip)
        .then([Happened::Broken {}])
        .when_twice(Command::Flip)
        .then_rejected(IsBroken);
}

#[test]
fn a_story_starts_from_its_history() {
    assert_eq!(*given::<Lamp>([Happened::Lit {}]).state(), State::Lit);
}

#[test]
#[should_panic(expected = "a second time made [Broken]")]
fn a_command_that_counts_twice_is_found_out() {
    let _decided = given::<Lamp>([]).when_twice(Command::Flip);
}

#[test]
#[should_panic(expected = "what follows")]
fn another_decision_is_found_out() {
    given::<Lamp>([]).when(Command::Light).then([Happened::Broken {}]);
}

#[test]
#[should_panic(expected = "rejected: the lamp is broken")]
fn a_rejection_is_not_nothing() {
    given::<Lamp>([Happened::Broken {}]).when(Command::Light).then_nothing();
}

#[test]
#[should_panic(expected = "not rejected")]
fn nothing_is_not_a_rejection() {
    given::<Lamp>([Happened::Lit {}]).when(Command::Light).then_rejected(IsBroken);
}

#[test]
#[should_panic(expected = "what is owed")]
fn another_debt_is_found_out() {
    given::<Lamp>([Happened::Lit {}]).owes([]);
}
