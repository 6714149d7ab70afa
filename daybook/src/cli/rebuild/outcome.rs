//! How work on a read model ends that did not do what was asked: what is said, what to do next, and the exit code.

use std::process::ExitCode;

use event_store::follow::ApplyError;
use projections::{Left, RebuildError};
use serde_json::json;

use super::super::stopping::STOPPED;
use super::told::{differences, named};

pub(in crate::cli) const UNVERIFIED: u8 = 3;
pub(in crate::cli) const REFUSED: u8 = 4;
pub(in crate::cli) const FAILED: u8 = 1;
const UNKNOWN: u8 = 5;

/// From the best to the worst.
const CODES: [u8; 6] = [0, UNVERIFIED, REFUSED, FAILED, UNKNOWN, STOPPED];

/// The worst of several.
pub(in crate::cli) fn worst(codes: impl IntoIterator<Item = u8>) -> ExitCode {
    let rank = |code: &u8| CODES.iter().position(|it| it == code);
    codes.into_iter().max_by_key(rank).unwrap_or_default().into()
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Asked {
    Rebuild,
    RollBack,
    Verify,
}

/// Says that it did not come to pass, and why, and what to do; the exit code.
pub(in crate::cli) fn refused(name: &str, asked: Asked, error: &RebuildError, json: bool) -> u8 {
    let next = next_step(name, asked, error);
    if json {
        let (why, compared) = (named(error), error.compared());
        println!(
            "{}",
            json!({"projection": name, "error": why, "compared": compared, "next": next})
        );
        return code_of(error);
    }
    eprintln!("daybook: {}", what_became(name, asked, error));
    if let RebuildError::Unsteady(_) = error {
        eprintln!(
            "Here `live` is what the first replay gave, and `from the log` what the second did:"
        );
    }
    if let Some(compared) = error.compared() {
        eprintln!("{}", differences(compared).trim_start_matches('\n'));
    }
    if let Some(next) = next {
        eprintln!("{next}");
    }
    code_of(error)
}

fn code_of(error: &RebuildError) -> u8 {
    if let RebuildError::Stopped(_) = error {
        return STOPPED;
    }
    if let RebuildError::Unknown { .. } = error {
        return UNKNOWN;
    }
    if error.is_refusal() { REFUSED } else { FAILED }
}

fn what_became(name: &str, asked: Asked, error: &RebuildError) -> String {
    match (error, asked) {
        (RebuildError::Unknown { .. }, _) => {
            format!("it is not known which generation of `{name}` is live: {}", named(error))
        }
        (RebuildError::Stopped(left), _) => stopped(name, asked, left),
        (_, Asked::Rebuild) => {
            format!("`{name}` was not rebuilt, and the old generation answers on: {}", named(error))
        }
        (_, Asked::RollBack) => {
            format!("`{name}` was not rolled back, and is as it was: {}", named(error))
        }
        (_, Asked::Verify) => format!("`{name}` was not verified: {}", named(error)),
    }
}

fn stopped(name: &str, asked: Asked, left: &Left) -> String {
    let answers = match asked {
        Asked::Rebuild => ", and the old generation answers on",
        Asked::RollBack => ", and what was live is",
        Asked::Verify => "",
    };
    match left {
        Left::Nothing => format!("`{name}`: stopped{answers}; nothing is left behind"),
        Left::Live(generation) => {
            format!(
                "`{name}`: stopped too late: generation {generation} is live, and nothing else is left behind"
            )
        }
        Left::Unknown(why) => {
            format!("`{name}`: stopped; what was begun may be there still: {why}")
        }
    }
}

/// What whoever asked may do now, where the error itself does not say it.
fn next_step(name: &str, asked: Asked, error: &RebuildError) -> Option<String> {
    let again = match asked {
        Asked::Rebuild => format!("daybook rebuild {name}"),
        Asked::RollBack => format!("daybook rebuild rollback {name}"),
        Asked::Verify => format!("daybook verify {name}"),
    };
    let next = match error {
        RebuildError::Differs(_) => if_rows_differ(name),
        RebuildError::Unsteady(_) => {
            "What this binary makes of the log is not the same each time: that is a defect of this version of the \
             program, and --accept-differences does not mend it. Stay with the old generation, and rebuild with \
             another version"
                .to_owned()
        }
        RebuildError::UnderWay(_) => format!("When the other one is done: {again}"),
        RebuildError::NotLive(_) => format!("To make one: daybook rebuild {name}"),
        RebuildError::NowhereNear(_) | RebuildError::OldParked(_) => {
            format!("Do: daybook rebuild {name}")
        }
        RebuildError::NoLog { service, .. } => {
            format!("Say where {service} answers with {service}_url, or run this where it is")
        }
        RebuildError::Apply(ApplyError::Unknown(_))
        | RebuildError::Event { source: ApplyError::Unknown(_), .. } => {
            "A newer version of the program wrote it: use that one".to_owned()
        }
        RebuildError::Apply(ApplyError::Poison(_))
        | RebuildError::Event { .. }
        | RebuildError::TooManyParked { .. } => {
            "What this binary makes of the log is wrong, or the log is: daybook log shows the stream. See also: daybook \
             parked list; what is discarded there is left out"
                .to_owned()
        }
        RebuildError::Apply(ApplyError::Transient(_))
        | RebuildError::Store(_)
        | RebuildError::Overtaken => {
            format!("Once that has passed, which clears away what this one left: {again}")
        }
        RebuildError::Unknown { .. } => {
            format!("To see which one is, once Postgres answers: daybook generations list {name}")
        }
        RebuildError::Stopped(Left::Unknown(_)) => format!(
            "To see what there is: daybook generations list {name}; what is `building` is cleared away by the next \
             rebuild or verification"
        ),
        RebuildError::NothingOld(_) => format!("To see what there is: daybook generations list {name}"),
        RebuildError::Apply(ApplyError::Broken(_))
        | RebuildError::Task(_)
        | RebuildError::NoSuch(..)
        | RebuildError::IsLive(..)
        | RebuildError::IsFollowed(..)
        | RebuildError::Newer(..)
        | RebuildError::Stopped(Left::Nothing | Left::Live(_)) => return None,
    };
    Some(next)
}

/// The program cannot know which of the two are wrong.
pub(in crate::cli) fn if_rows_differ(name: &str) -> String {
    format!(
        "Either the live rows are wrong, or what this binary makes of the log is. If it is the live rows: \
         daybook rebuild {name} --accept-differences"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_store::StoreError;
    use projections::Compared;

    fn compared() -> Box<Compared> {
        Box::new(Compared { tables: Vec::new(), parked: Vec::new() })
    }

    fn told(asked: Asked, error: &RebuildError) -> (u8, String, String) {
        let next = next_step("orders", asked, error).unwrap_or_default();
        (code_of(error), what_became("orders", asked, error), next)
    }

    #[test]
    fn rows_that_differ_may_be_accepted_and_a_fold_that_is_not_steady_may_not() {
        let (code, _, next) = told(Asked::Rebuild, &RebuildError::Differs(compared()));
        assert!(code == REFUSED && next.ends_with("daybook rebuild orders --accept-differences"));
        let (code, said, next) = told(Asked::Rebuild, &RebuildError::Unsteady(compared()));
        assert!(code == REFUSED && said.contains("the old generation answers on"), "{said}");
        assert!(next.contains("does not mend it") && next.contains("another version"), "{next}");
    }

    #[test]
    fn each_refusal_of_a_verification_names_the_next_step() {
        for (error, step) in [
            (RebuildError::UnderWay("orders"), "daybook verify orders"),
            (RebuildError::NotLive("orders"), "daybook rebuild orders"),
            (RebuildError::NowhereNear("orders"), "daybook rebuild orders"),
        ] {
            let (code, said, next) = told(Asked::Verify, &error);
            assert!(code == REFUSED && next.ends_with(step), "{next}");
            assert!(said.starts_with("`orders` was not verified: "), "{said}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_said_to_have_failed() {
        let why = StoreError::Silent;
        let error = RebuildError::Unknown { projection: "orders", generation: 2, why };
        let (code, said, next) = told(Asked::Rebuild, &error);
        assert!(code == UNKNOWN && said.contains("not known") && said.contains("generation 2"));
        assert!(!said.contains("answers on") && next.ends_with("daybook generations list orders"));
    }

    #[test]
    fn who_stops_it_is_told_what_is_left() {
        let stopped = |left| told(Asked::Rebuild, &RebuildError::Stopped(left));
        let (code, said, next) = stopped(Left::Nothing);
        assert!(code == STOPPED && said.ends_with("nothing is left behind") && next.is_empty());
        assert!(said.contains("the old generation answers on"), "{said}");
        let (code, said, _) = stopped(Left::Live(2));
        assert!(code == STOPPED && said.contains("generation 2 is live"), "{said}");
        let (code, said, next) = stopped(Left::Unknown("it is held".to_owned()));
        assert!(code == STOPPED && said.ends_with("may be there still: it is held"), "{said}");
        assert!(next.contains("daybook generations list orders"), "{next}");
    }

    #[test]
    fn the_worst_of_several_codes_counts() {
        for (codes, counts) in [
            (&[][..], 0),
            (&[0, UNVERIFIED], UNVERIFIED),
            (&[REFUSED, UNVERIFIED], REFUSED),
            (&[FAILED, REFUSED, 0], FAILED),
            (&[UNKNOWN, FAILED], UNKNOWN),
            (&[UNKNOWN, STOPPED, 0], STOPPED),
        ] {
            assert_eq!(worst(codes.iter().copied()), ExitCode::from(counts), "{codes:?}");
        }
    }
}
