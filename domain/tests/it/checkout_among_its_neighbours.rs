//! Whatever happens in whatever order, a checkout ends well or a person is told. What *well* means,
//! and what must hold at every moment, is in `world/check.rs`.

use crate::world::{Shop, World};
use proptest::prelude::*;
use std::collections::HashSet;

/// Makes every move that is possible, from every world that can be reached, and counts the worlds.
fn explore(shop: &Shop) -> usize {
    let beginning = shop.open();
    let mut seen = HashSet::from([beginning.fingerprint()]);
    let mut open = vec![beginning];
    while let Some(world) = open.pop() {
        let mut is_end = true;
        for next in world.moves() {
            let mut after = world.clone();
            after.make(&next);
            let fingerprint = after.fingerprint();
            is_end &= fingerprint == world.fingerprint();
            if seen.insert(fingerprint) {
                open.push(after);
            }
        }
        if is_end {
            world.check_end();
        }
    }
    seen.len()
}

/// From here on everything goes as well as it still can.
fn carry_on_to_the_end(world: &mut World) {
    loop {
        let before = world.fingerprint();
        let next = world.moves().into_iter().find_map(|next| {
            let mut after = world.clone();
            after.make(&next);
            (after.fingerprint() != before).then_some(after)
        });
        match next {
            Some(after) => *world = after,
            None => return world.check_end(),
        }
    }
}

fn shops(enough: &[&[bool]]) -> impl Iterator<Item = Shop> {
    let enough: Vec<Vec<bool>> = enough.iter().map(|enough| enough.to_vec()).collect();
    enough.into_iter().flat_map(|enough| {
        [true, false].map(|free| Shop { enough: enough.clone(), free, refusals: 0, helps: 0 })
    })
}

#[test]
fn every_interleaving_of_a_small_order_ends_well() {
    for shop in shops(&[&[true], &[false], &[true, true], &[true, false], &[false, false]]) {
        assert!(explore(&shop) > 1, "nothing can happen in {shop:?}");
    }
}

#[test]
fn every_interleaving_with_a_rejected_request_ends_well_or_calls_a_person() {
    for shop in shops(&[&[true], &[false], &[true, false]]) {
        let quiet = explore(&shop);
        assert!(explore(&Shop { refusals: 2, ..shop }) > quiet, "nothing was rejected");
    }
}

#[test]
fn every_interleaving_with_a_person_who_helps_ends_well_or_calls_a_person() {
    // What the provider refuses, and what the owners of stock and order refuse.
    for (free, refusals, helps) in [(false, 0, 2), (true, 1, 2)] {
        let shop = Shop { enough: vec![true], free, refusals, helps };
        let alone = explore(&Shop { helps: 0, ..shop.clone() });
        assert!(explore(&shop) > alone, "nobody helped");
    }
}

fn any_shop() -> impl Strategy<Value = Shop> {
    let enough = prop::collection::vec(prop::bool::weighted(0.8), 1..6);
    let free = prop::bool::weighted(0.2);
    (enough, free, 0..3_u32, 0..4_u32).prop_map(|(enough, free, refusals, helps)| Shop {
        enough,
        free,
        refusals,
        helps,
    })
}

proptest! {
    #[test]
    fn a_random_course_of_a_larger_order_ends_well_or_calls_a_person(
        shop in any_shop(),
        course in prop::collection::vec(any::<prop::sample::Index>(), 0..150),
    ) {
        let mut world = shop.open();
        for choice in course {
            world.make(choice.get(&world.moves()));
        }
        carry_on_to_the_end(&mut world);
    }
}
