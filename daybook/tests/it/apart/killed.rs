//! One process after the other is pulled the plug, under load, and each service with it.

use super::load::{
    Load, asked_of, hold_payments, is_left_alone, let_payments_go, listed_as_due, payments_are_held,
};
use super::street::{PARTS, takes_commands};
use crate::shop::{audit, outcomes, sell, settled};
use crate::support::{Daybook, World, free_port};
use futures_util::future::join_all;
use serde_json::Value;

#[tokio::test]
async fn each_process_and_then_its_twin_is_killed_in_turn_under_load_and_no_order_is_lost_or_doubled()
 {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    let ports = [(); 2].map(|()| PARTS.map(|_| free_port()));
    // Of each part there are two.
    let mut twins = Vec::new();
    for ports in &ports {
        twins.push(street.start_on(&world, ports).await);
    }
    let whole = Daybook::in_parts(Vec::new(), &street.front.url);
    sell(&world, &whole, "A", 250, 1_000_000).await;

    let load = Load::new();
    let killing = async {
        for (at, part) in PARTS.iter().enumerate() {
            hold_payments(&world).await;
            payments_are_held(&world).await;
            // Its twin does all that it did: nobody has to wait for the one that is gone.
            twins[0].remove(at).kill().await;
            load.goes_on_without(part.0).await;
            twins[1].remove(at).kill().await;
            let_payments_go(&world).await;
            // What does not need it goes on: orders are placed, unless it is theirs that is away.
            if *part != PARTS[1] {
                load.goes_on_without(part.0).await;
            }
            if takes_commands(part) && asked_of(part.0).is_some() {
                listed_as_due(&world, part.0).await;
                let checkouts: Vec<_> = twins.iter().filter_map(|twin| twin.last()).collect();
                is_left_alone(&checkouts).await;
            }
            let again = ports.iter().map(|ports| street.start_part(&world, *part, ports[at]));
            for (twin, again) in twins.iter_mut().zip(join_all(again).await) {
                twin.insert(at, again);
            }
        }
        load.ends();
    };
    let (all, ()) = tokio::join!(load.orders(&world), killing);
    settled(&world, all).await;
    audit(&world).await;
    let expected = i64::try_from(all).unwrap();
    assert_eq!(
        outcomes(&world).await.into_iter().collect::<Vec<_>>(),
        [("confirmed".to_owned(), expected)]
    );
    let stock = |it: &Value| it["reserved"] == expected;
    whole.until("the stock is that of the orders", "/v1/stock/A", stock).await;
}
