//! What becomes of a log, its copy and its followers when its server is replaced by another one: real
//! servers that are killed, promoted, restored and copied.

mod shop;

use crate::kafka::fill;
use crate::posting::{Posting, all_posted_once, postings, read_side};
use crate::server::{Place, text};
use crate::support::{eventually, fresh_database, lose_the_tail, open, settings};
use event_store::follow::{Feed, Runner};
use event_store::kafka::RelayState;
use event_store::{Log, LogSettings, open_epoch};
use shop::Shop;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_promoted_replica_without_the_tail_begins_an_epoch_and_stops_whoever_posted_the_tail() {
    let place = Place::new();
    let primary = place.primary(&[]).await;
    let mut shop = Shop::open_on(&primary).await;
    let replica = primary.replica().await;
    shop.sell(200).await;
    primary.is_replayed_by(&replica).await;
    primary.cuts_off(&replica).await;
    let lost = shop.sell_in_vain().await;
    let port = primary.kill().await;
    let _promoted = replica.promoted_at(port).await;
    shop.goes_on_without(lost).await;
}

#[tokio::test]
async fn a_promoted_replica_that_has_everything_begins_an_epoch_and_stops_nobody() {
    let place = Place::new();
    let primary = place.primary(&[]).await;
    let mut shop = Shop::open_on(&primary).await;
    let replica = primary.replica().await;
    shop.sell(200).await;
    primary.is_replayed_by(&replica).await;
    primary.cuts_off(&replica).await;
    let port = primary.kill().await;
    let _promoted = replica.promoted_at(port).await;
    shop.goes_on_with_everything().await;
}

#[tokio::test]
async fn a_log_restored_to_an_earlier_time_begins_an_epoch_and_stops_whoever_posted_what_came_later()
 {
    let place = Place::new();
    let archive = place.path("archive");
    place.run("mkdir", &[text(&archive)]).await;
    let keep = format!("archive_command=cp %p {}/%f", text(&archive));
    let primary = place.primary(&["archive_mode=on", &keep]).await;
    let mut shop = Shop::open_on(&primary).await;
    shop.sell(100).await;
    let restored = primary.base_backup("restored", &[]).await;
    shop.sell(100).await;
    let until = primary.tell("select clock_timestamp()::text").await;
    let lost = shop.sell_in_vain().await;
    primary.archives_everything().await;
    // This time it is a writer who comes first.
    shop.stop_relay().await;
    let port = primary.kill().await;
    place.run("touch", &[text(&restored.join("recovery.signal"))]).await;
    let fetch = format!("restore_command=cp {}/%f %p", text(&archive));
    let until = format!("recovery_target_time={until}");
    let settings = [&*fetch, &until, "recovery_target_action=promote"];
    let restored = place.start(restored, port, &settings).await;
    restored.is_primary().await;
    shop.goes_on_without(lost).await;
}

#[tokio::test]
async fn a_copy_of_the_disk_is_noticed_by_nobody_until_an_epoch_is_opened_by_hand() {
    let place = Place::new();
    let server = place.primary(&[]).await;
    let mut shop = Shop::open_on(&server).await;
    shop.sell(200).await;
    let (port, copy) = (server.port, place.path("copy"));
    let data = server.stop().await;
    place.run("cp", &["-a", text(&data), text(&copy)]).await;
    let server = place.start(data, port, &[]).await;
    let lost = shop.sell_in_vain().await;
    server.kill().await;
    let copy = place.start(copy, port, &[]).await;
    let before = shop.epochs().await;
    copy.tell("select count(*)::text from shop.writer_epochs()").await;
    assert_eq!(shop.epochs().await, before);
    let refused = |state: &RelayState| match state {
        RelayState::Refused(why) => why.contains("daybook log new-epoch shop"),
        RelayState::Waiting | RelayState::Elsewhere | RelayState::Up | RelayState::Down(_) => false,
    };
    let relay = shop.relay.as_mut().unwrap();
    relay.until("the relay says what to do", |status| refused(&status.state)).await;
    open_epoch(&shop.database, "shop").await.unwrap();
    shop.goes_on_without(lost).await;
}

#[tokio::test]
async fn what_one_lane_learns_of_an_epoch_stops_no_other_lane() {
    let database = fresh_database().await;
    let log = Log::open(LogSettings { few: 0, ..settings(&database) }).await.unwrap();
    fill(&log, 0..100).await;
    open_epoch(&database, "shop").await.unwrap();
    // One after the other: the first lane that appends learns of it for all.
    for number in 100..120 {
        fill(&log, number..number + 1).await;
    }
    assert_eq!(log.heads().await.unwrap().iter().sum::<i64>(), 120);
}

#[tokio::test]
async fn a_log_whose_epochs_were_lost_too_counts_them_again_and_stops_whoever_posted_the_tail() {
    let database = fresh_database().await;
    let (log, read, stop) =
        (open(&database).await, read_side(&database).await, CancellationToken::new());
    let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
    runner.follow(&(Arc::new(Posting { process: "here" }) as _), 0, &read);
    open_epoch(&database, "shop").await.unwrap();
    fill(&log, 0..100).await;
    all_posted_once(&read, &log).await;
    let before = postings(&read).await;
    // As of a backup that is older than the second epoch.
    let admin = database.connect("tests").await.unwrap();
    let older =
        "delete from shop.log_epoch where epoch > 1; update shop.log_partition set epoch = 1";
    admin.batch_execute(older).await.unwrap();
    lose_the_tail(&database).await;
    fill(&log, 100..200).await;
    let epoch = "select max(epoch) from shop.log_partition";
    assert_eq!(admin.query_one(epoch, &[]).await.unwrap().get::<_, i32>(0), 2);
    eventually("every partition stands still", async || runner.stopped().len() == 4).await;
    assert_eq!(postings(&read).await, before);
    stop.cancel();
    runner.wait().await;
}
