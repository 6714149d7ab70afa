use super::PeerLimits;
use std::collections::BTreeSet;
use std::time::Duration;

/// Questions that failed together.
const TOGETHER: usize = 10_000;

/// As docs/limits.md has it: the pause doubles up to the longest, and a die adds up to as much again.
#[test]
fn questions_that_failed_together_are_asked_again_at_times_of_their_own() {
    let ms = Duration::from_millis;
    let limits = PeerLimits {
        retry_first: ms(50),
        retry_most: ms(300),
        retries: 5,
        ..PeerLimits::default()
    };
    let all: Vec<Vec<Duration>> = (0..TOGETHER).map(|_| limits.pauses().collect()).collect();
    assert!(all.iter().all(|pauses| pauses.len() == limits.retries));
    for (nth, plain) in [50, 100, 200, 300, 300].map(ms).into_iter().enumerate() {
        let pauses = || all.iter().map(|pauses| pauses[nth]);
        let within = plain..=2 * plain;
        assert!(pauses().all(|pause| within.contains(&pause)), "{plain:?}");
        let thrown = pauses().map(|pause| (pause - plain).as_secs_f64() / plain.as_secs_f64());
        let mean = thrown.sum::<f64>() / TOGETHER as f64;
        // A fair die is off by that much less often than once in any number of lives.
        assert!((mean - 0.5).abs() < 0.05, "{plain:?}: the die adds {mean} of it");
        let different = pauses().collect::<BTreeSet<_>>().len();
        assert!(different > TOGETHER / 2, "{plain:?}: {different} different pauses");
    }
}
