//! Every service on its own: in processes of its own, on a database of its own, as a user who may do nothing else.
//! The flows are those of one process; here they pass through all of them.

mod front;
mod killed;
mod rights;
mod street;

pub(crate) use street::Street;

use crate::shop::{SERVICES, audit, order, sell, settled};
use crate::support::{Daybook, World, binary};
use crate::{containers, flash_sale, idempotency, provider_faults};
use futures_util::future::join_all;
use std::process::Stdio;

#[tokio::test]
async fn apart_with_every_process_twice_a_flash_sale_sells_what_is_there_and_no_more() {
    let world = World::apart().await;
    let daybooks = [world.start().await, world.start().await];
    flash_sale::sale(&world, &daybooks).await;
}

#[tokio::test]
async fn apart_a_key_used_by_fifty_callers_places_one_order() {
    idempotency::one_key(World::apart().await).await;
}

#[tokio::test]
async fn apart_an_order_whose_payment_is_declined_or_fails_is_cancelled_for_that_reason() {
    provider_faults::declined_or_failed(World::apart().await).await;
}

#[tokio::test]
async fn apart_and_without_kafka_payments_that_are_slow_or_lose_their_answer_are_made_once() {
    provider_faults::slow_or_lost(World::apart().await.without_kafka()).await;
}

#[tokio::test]
async fn apart_a_provider_that_is_slow_failing_down_or_mute_for_a_while_loses_nothing() {
    provider_faults::faults(World::apart().await).await;
}

/// There is no engine for containers here, so what they would be told is told to processes.
#[tokio::test]
async fn what_the_compose_file_tells_its_services_apart_settles_orders() {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    let told = SERVICES.map(|service| (service, containers::environment_of(service)));
    let parts = told.map(|(service, environment)| street.spawn_told(&world, service, &environment));
    join_all(parts.iter().map(Daybook::is_ready)).await;
    street.show_rows(&world).await;
    let shop = Daybook::in_parts(parts.into(), &street.front.url);
    sell(&world, &shop, "A", 250, 10).await;
    for _ in 0..5 {
        shop.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
    }
    settled(&world, 5).await;
    audit(&world).await;
    shop.stop().await;
}

#[tokio::test]
async fn a_part_that_cannot_do_without_another_service_says_which_key_is_missing() {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    let mut command = binary();
    command.args(["serve", "--listen", "127.0.0.1:0", "--kafka", "off", "--service", "orders"]);
    command.args(["--orders-database-url", &street.url_of("orders"), "--role", "commands"]);
    command.arg("--data-dir").arg(world.folder.path().join("alone"));
    let output = command.stdout(Stdio::null()).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("`catalogue_url`"), "{said}");
}
