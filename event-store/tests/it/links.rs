//! A process whose link to Postgres dies and nobody tells it: what follows the log goes on when there are links again.

use crate::kafka::{copied, fill, logged, once, own, to};
use crate::posting::{Posting, postings, read_side};
use crate::proxy::{Mode, Proxy, Toward};
use crate::support::{eventually, fresh_database, open, settings};
use event_store::follow::{Feed, FollowLimits, ReadSide, Runner};
use event_store::kafka::Relay;
use event_store::{Log, LogSettings};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// More than a second: a connection that was taken within the last one is not asked whether it lives.
const CALL_TIMEOUT: Duration = Duration::from_millis(1_100);

async fn a_follower_goes_on_after(mode: Mode) {
    let database = fresh_database().await;
    let (proxy, elsewhere) = (Proxy::before(&database).await, open(&database).await);
    let way = proxy.of(&database);
    let seen = read_side(&database).await;
    let log =
        Log::open(LogSettings { call_timeout: CALL_TIMEOUT, ..settings(&way) }).await.unwrap();
    let read = ReadSide::open(&way.of_service("shop"), "shop", 4).unwrap();
    let stop = CancellationToken::new();
    let limits = FollowLimits { call_timeout: CALL_TIMEOUT, ..FollowLimits::default() };
    let runner = Runner::limited(vec![Feed::new(log)], stop.clone(), limits);
    runner.follow(&(Arc::new(Posting { process: "here" }) as _), 0, &read);
    fill(&elsewhere, 0..100).await;
    let all = async |count: usize| {
        eventually("all is posted", async || postings(&seen).await.len() >= count).await;
        assert_eq!(postings(&seen).await.len(), count, "something was posted twice");
    };
    all(100).await;
    proxy.set(mode);
    let taken = proxy.taken();
    fill(&elsewhere, 100..200).await;
    eventually("it looks for another link", async || proxy.taken() > taken).await;
    proxy.set(Mode::Pass);
    all(200).await;
    stop.cancel();
    runner.wait().await;
}

#[tokio::test]
async fn a_follower_goes_on_after_its_link_swallowed_all_it_was_given() {
    a_follower_goes_on_after(Mode::BlackHole).await;
}

#[tokio::test]
async fn a_follower_goes_on_after_every_link_was_cut_at_its_first_answer() {
    a_follower_goes_on_after(Mode::Sever(Toward::Client)).await;
}

#[tokio::test]
async fn a_follower_goes_on_after_the_server_closed_and_nobody_told_it() {
    a_follower_goes_on_after(Mode::HalfOpen { closed: Toward::Server }).await;
}

#[tokio::test]
async fn a_follower_goes_on_after_it_was_closed_and_nobody_told_the_server() {
    a_follower_goes_on_after(Mode::HalfOpen { closed: Toward::Client }).await;
}

async fn the_relay_goes_on_after(mode: Mode) {
    let database = fresh_database().await;
    let (proxy, elsewhere) = (Proxy::before(&database).await, open(&database).await);
    let (way, topic) = (proxy.of(&database), own("shop-events"));
    let log =
        Log::open(LogSettings { call_timeout: CALL_TIMEOUT, ..settings(&way) }).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(Relay::new(log, to(&topic)).run(stop.clone()));
    fill(&elsewhere, 0..50).await;
    let level =
        async || copied(&topic, &elsewhere).await.map(once) == Some(logged(&elsewhere).await);
    eventually("the copy is level", level).await;
    proxy.set(mode);
    let taken = proxy.taken();
    fill(&elsewhere, 50..100).await;
    eventually("it looks for another link", async || proxy.taken() > taken).await;
    proxy.set(Mode::Pass);
    eventually("the copy is level again", level).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn the_relay_goes_on_after_its_link_swallowed_all_it_was_given() {
    the_relay_goes_on_after(Mode::BlackHole).await;
}

#[tokio::test]
async fn the_relay_goes_on_after_the_server_closed_and_nobody_told_it() {
    the_relay_goes_on_after(Mode::HalfOpen { closed: Toward::Server }).await;
}
