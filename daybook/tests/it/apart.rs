//! Every service on its own: in processes of its own, on a database of its own, as a user who may do nothing else.
//! The flows are those of one process; here they pass through all of them.

mod behind;
mod composed;
mod databases;
mod flows;
mod front;
mod frozen;
mod guard;
mod guarded;
mod killed;
mod load;
mod matrix;
pub(crate) mod names;
mod owned;
mod rights;
mod shape;
mod street;

pub(crate) use shape::Shape;
pub(crate) use street::Street;

use crate::support::{World, binary};
use crate::{flash_sale, kafka_copy, provider_faults};
use std::process::Stdio;

#[tokio::test]
async fn apart_with_every_process_twice_a_flash_sale_sells_what_is_there_and_no_more() {
    let world = World::apart().await;
    let daybooks = [world.start().await, world.start().await];
    flash_sale::sale(&world, &daybooks).await;
}

#[tokio::test]
async fn with_a_process_for_each_role_a_flash_sale_sells_what_is_there_and_no_more() {
    let world = World::shaped(Shape::EachRole).await;
    flash_sale::sale(&world, &[world.start().await]).await;
    kafka_copy::equals_the_logs(&world).await;
}

#[tokio::test]
async fn apart_and_without_kafka_payments_that_are_slow_or_lose_their_answer_are_made_once() {
    let world = World::apart().await.without_kafka();
    provider_faults::slow_or_lost(&world, &world.start().await).await;
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
