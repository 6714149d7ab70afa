//! One service after the other is pulled the plug, under load.

use super::load::{
    Load, asked_of, hold_payments, is_left_alone, let_payments_go, listed_as_due, payments_are_held,
};
use super::street::{PARTS, takes_commands};
use crate::shop::{audit, outcomes, sell, settled};
use crate::support::{Daybook, World, free_port};
use serde_json::Value;

#[tokio::test]
async fn each_service_is_killed_in_turn_under_load_and_no_order_is_lost_or_doubled() {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    let ports = PARTS.map(|_| free_port());
    let mut parts = street.start_on(&world, &ports).await;
    let whole = Daybook::in_parts(Vec::new(), &street.front.url);
    sell(&world, &whole, "A", 250, 1_000_000).await;

    let load = Load::new();
    let killing = async {
        for (at, part) in PARTS.iter().enumerate() {
            hold_payments(&world).await;
            payments_are_held(&world).await;
            parts.remove(at).kill().await;
            let_payments_go(&world).await;
            // What does not need it goes on: orders are placed, unless it is theirs that is away.
            if *part != PARTS[1] {
                load.goes_on_without(part.0).await;
            }
            if takes_commands(part) && asked_of(part.0).is_some() {
                listed_as_due(&world, part.0).await;
                is_left_alone(parts.last().expect("the checkouts")).await;
            }
            parts.insert(at, street.start_part(&world, *part, ports[at]).await);
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
