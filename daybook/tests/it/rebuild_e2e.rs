//! `daybook rebuild` as a user runs it: beside a shop that is busy, killed on its way, and alone.

mod flow;

use std::process::Output;

use tokio_postgres::Client;

use self::flow::Flow;
use crate::books;
use crate::independent::{DIFFER, READ_MODELS};
use crate::shop::{self, eventually};
use crate::support::World;

#[tokio::test]
async fn every_read_model_is_rebuilt_while_orders_flow_and_queries_are_answered() {
    let world = World::new().await;
    let daybook = world.start().await;
    let flow = Flow::start(&world, &daybook).await;
    flow.has_done(10).await;
    for (projection, ..) in READ_MODELS {
        let done = flow.done();
        rebuilt(&world, &[projection], 2).await;
        flow.has_done(done + 3).await;
    }
    rebuilt(&world, &["--all"], 3).await;
    flow.stop().await;
    rows_are_what_the_events_say(&world).await;
    daybook.stop().await;
}

/// Killed at its last step, which waits because somebody holds the live generation's checkpoints.
#[tokio::test]
async fn a_killed_rebuild_leaves_the_live_generation_and_the_next_one_succeeds() {
    let world = World::new().await;
    let daybook = world.start().await;
    let flow = Flow::start(&world, &daybook).await;
    flow.has_done(5).await;
    let (mut holder, watcher) = (world.sql().await, world.sql().await);
    for (projection, read, _) in READ_MODELS {
        let held = holder.transaction().await.unwrap();
        let hold = "select from {read}.checkpoint where follower = $1 for update";
        held.execute(&hold.replace("{read}", read), &[&projection]).await.unwrap();
        let mut rebuilding = world.command("rebuild").arg(projection).spawn().unwrap();
        is_nearly_live(&watcher, projection, read).await;
        rebuilding.kill().await.unwrap();
        held.rollback().await.unwrap();
        assert_eq!(live(&watcher, projection, read).await, 1);
        let done = flow.done();
        flow.has_done(done + 1).await;
    }
    rebuilt(&world, &["--all"], 2).await;
    for (projection, read, _) in READ_MODELS {
        let left = format!(
            "select count(*) from {read}.generation where projection = $1 and state = 'building'"
        );
        let left: i64 = watcher.query_one(&left, &[&projection]).await.unwrap().get(0);
        assert_eq!(left, 0, "what was killed is cleared away");
    }
    flow.stop().await;
    rows_are_what_the_events_say(&world).await;
    daybook.stop().await;
}

#[tokio::test]
async fn a_rebuild_asks_nobody_for_anything_and_needs_no_daybook_that_runs() {
    let world = World::new().await;
    let daybook = world.start().await;
    let flow = Flow::start(&world, &daybook).await;
    flow.has_done(10).await;
    flow.stop().await;
    books::are_quiet(&world).await;
    let before = daybook.all("/v1/orders").await;

    let book = async || {
        let asked = crate::support::http().get(format!("{}/sandbox/book", world.provider.url));
        asked.send().await.unwrap().text().await.unwrap()
    };
    let (heads, asked) = (shop::heads(&world.sql().await).await, book().await);
    // Beside one that serves, and without any.
    rebuilt(&world, &["--all"], 2).await;
    assert!(world.command("verify").arg("--all").status().await.unwrap().success());
    daybook.stop().await;
    rebuilt(&world, &["--all"], 3).await;
    assert_eq!(book().await, asked, "nobody asked the provider for anything");
    assert_eq!(shop::heads(&world.sql().await).await, heads, "nor anybody else");
    rows_are_what_the_events_say(&world).await;
    let daybook = world.start().await;
    assert_eq!(daybook.all("/v1/orders").await, before);
    daybook.stop().await;
}

/// Rebuilds, and the program says which generation is live then.
async fn rebuilt(world: &World, projections: &[&str], generation: i32) {
    let Output { status, stdout, stderr } =
        world.command("rebuild").args(projections).output().await.unwrap();
    let (said, failed) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{said}\n{failed}");
    let names = READ_MODELS.map(|(projection, ..)| projection);
    let all = projections == ["--all"];
    for name in names.iter().filter(|name| all || projections.contains(name)) {
        let line = format!("{name}: generation {generation} is live");
        assert!(said.contains(&line), "{line}? {said}");
    }
}

pub(crate) async fn live(sql: &Client, projection: &str, read: &str) -> i32 {
    let live = format!(
        "select generation from {read}.generation where projection = $1 and state = 'live'"
    );
    sql.query_one(&live, &[&projection]).await.unwrap().get(0)
}

/// Waits until a rebuild has filled its generation and waits for the checkpoints of the live one.
pub(crate) async fn is_nearly_live(sql: &Client, projection: &str, read: &str) {
    let waits = "select count(*) from pg_stat_activity \
         where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '.checkpoint%for update%'";
    eventually(&format!("the rebuild of {projection} comes to its last step"), async || {
        let waiting: i64 = sql.query_one(waits, &[&read]).await.unwrap().get(0);
        (waiting > 0).then_some(()).ok_or_else(|| "it is not there".to_owned())
    })
    .await;
}

/// Once nothing is under way, what the live generations hold is compared row by row, both ways.
pub(crate) async fn rows_are_what_the_events_say(world: &World) {
    books::are_quiet(world).await;
    let sql = world.sql().await;
    for (projection, read, ours) in READ_MODELS {
        let live = live(&sql, projection, read).await;
        let ours = ours.replace("{g}", &live.to_string());
        let count =
            format!("{ours} select (select count(*) from derived), (select count(*) from posted)");
        let row =
            sql.query_one(&count, &[]).await.unwrap_or_else(|e| panic!("{projection}: {e:?}"));
        let (derived, posted): (i64, i64) = (row.get(0), row.get(1));
        assert!(
            derived > 0 && derived == posted,
            "{projection}: {derived} derived, {posted} posted"
        );
        let differ = format!("{ours}\n{DIFFER}");
        books::finds_nothing(&sql, projection, &differ).await;
    }
}
