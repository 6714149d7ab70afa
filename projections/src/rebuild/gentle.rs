//! The pace of a rebuild beside a process that serves. Nobody waits for a rebuild, and who asks waits for whatever has the
//! processor. How busy that process is cannot be asked; but what is appended can be seen, and so can by how much
//! longer a step takes than others of its size did.

use std::time::Duration;

/// Events in one transaction while others do little, and else.
const STEP: i64 = 400;
const SMALL_STEP: i64 = 100;
/// While others append, so many times as long as a step it rests.
const REST: f64 = 3.0;
/// A step that takes so many times as long as the shortest had to wait for others, and the rest is so many times what it
/// took longer.
const SLOW: f64 = 1.5;
const REST_OF_DELAY: f64 = 4.0;
/// It has an eighth of the time at least, and more where it would not reach the end of a log that grows: it posts so many
/// times as fast as others append, if it can.
const MOST_REST: f64 = 7.0;
const FASTER: f64 = 4.0;
const LONGEST_REST: Duration = Duration::from_secs(1);
/// What the shortest step took is forgotten by so much with each: tables grow, and orders are of other sizes.
const FORGETS: f64 = 1.01;

#[derive(Default)]
pub(super) struct Gentle {
    small: bool,
    /// What the shortest step took, in seconds, of either size.
    shortest: [Option<f64>; 2],
}

impl Gentle {
    /// Events of the next step.
    pub(super) fn step(&self) -> i64 {
        if self.small { SMALL_STEP } else { STEP }
    }

    /// How long to rest after a step, while others append so many events a second.
    pub(super) fn rest(&mut self, events: usize, took: Duration, grows: f64) -> Duration {
        let (seconds, others_append) = (took.as_secs_f64(), grows > 0.0);
        let whole = i64::try_from(events) == Ok(self.step());
        let shortest = &mut self.shortest[usize::from(self.small)];
        let known = shortest.map_or(seconds, |shortest| shortest * FORGETS);
        // Of a smaller one nothing follows.
        let slow = if whole { seconds / known.min(seconds).max(1e-6) } else { 1.0 };
        if whole {
            *shortest = Some(known.min(seconds));
        }
        self.small = others_append || slow > SLOW;
        let of_load = if others_append { REST } else { 0.0 };
        let of_delay = if slow > SLOW { REST_OF_DELAY * (slow - 1.0) } else { 0.0 };
        let rest = seconds * (of_load + of_delay).min(MOST_REST);
        // Infinite while nothing is appended.
        let most = events as f64 / (FASTER * grows) - seconds;
        Duration::from_secs_f64(rest.min(most).max(0.0)).min(LONGEST_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn while_nobody_does_anything_it_does_not_rest() {
        let mut pace = Gentle::default();
        for took in [10, 11, 9, 12, 10] {
            assert_eq!((pace.step(), pace.rest(400, ms(took), 0.0)), (STEP, Duration::ZERO));
        }
    }

    #[test]
    fn while_others_append_steps_are_small_and_it_rests_for_longer_than_it_works() {
        let mut pace = Gentle::default();
        assert_eq!(pace.rest(400, ms(10), 1.0), ms(30));
        assert_eq!(pace.step(), SMALL_STEP);
        assert_eq!(pace.rest(100, ms(4), 1.0), ms(12));
        // Twice as long as the last one: others wait as it does.
        assert!(pace.rest(100, ms(8), 1.0) > ms(48));
        assert_eq!(pace.rest(100, ms(4), 0.0), Duration::ZERO);
        assert_eq!(pace.step(), STEP);
    }

    #[test]
    fn it_rests_no_longer_than_the_log_allows_that_grows_meanwhile() {
        let mut pace = Gentle::default();
        pace.rest(400, ms(10), 1_000.0);
        // A hundred events at 4,000/s are 25 ms.
        assert_eq!(pace.rest(100, ms(10), 1_000.0), ms(15));
        assert_eq!(pace.rest(100, ms(80), 1_000.0), Duration::ZERO);
        assert_eq!(pace.rest(100, ms(10), 100.0), ms(30));
    }

    #[test]
    fn where_its_own_steps_are_held_up_it_stands_back_though_nothing_is_appended() {
        let mut pace = Gentle::default();
        assert_eq!(pace.rest(400, ms(10), 0.0), Duration::ZERO);
        assert!(pace.rest(400, ms(30), 0.0) > ms(200));
        assert_eq!(pace.step(), SMALL_STEP);
        assert_eq!(pace.rest(100, ms(900), 0.0), Duration::ZERO, "the first of its size");
        assert!(
            pace.rest(7, ms(900), 0.0).is_zero(),
            "of the last ones of a partition nothing follows"
        );
    }

    #[test]
    fn what_a_step_once_took_is_forgotten_when_none_is_as_short_any_more() {
        let mut pace = Gentle::default();
        pace.rest(400, ms(10), 0.0);
        let mut steps = 0;
        while !pace.rest(usize::try_from(pace.step()).unwrap_or_default(), ms(20), 0.0).is_zero() {
            steps += 1;
            assert!(steps < 200, "it rests for ever");
        }
        assert!(pace.rest(400, ms(2_000), 0.0) <= LONGEST_REST);
    }
}
