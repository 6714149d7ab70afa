//! Rebuilds and verifications that Ctrl-C or SIGTERM ends, and what they were started on.

use crate::reading::said;
use crate::rebuild_e2e::is_nearly_live;
use crate::shop::{eventually, sell};
use crate::support::{LIMIT, World, binary};
use serde_json::{Value, json};
use std::process::{Output, Stdio};
use tokio::process::{Child, Command};
use tokio_postgres::Client;

const STOPPED: Option<i32> = Some(130);

/// What it leaves behind is looked at while it could not have gone on.
#[tokio::test]
async fn who_stops_a_rebuild_or_a_verification_is_told_what_is_left_and_nothing_is() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let available = |level: &Value| level["available"] == 100;
    daybook.until("it is posted", "/v1/stock/85123A", available).await;
    let (mut holder, watcher) = (world.sql().await, world.sql().await);
    for (arguments, signal) in [
        (&["rebuild", "stock"][..], "INT"),
        (&["rebuild", "stock", "--no-verify"], "TERM"),
        (&["verify", "stock"], "INT"),
    ] {
        let held = holder.transaction().await.unwrap();
        held.execute("select from inventory_read.checkpoint for update", &[]).await.unwrap();
        let mut working = world.command(arguments[0]);
        let working = working.args(&arguments[1..]).stderr(Stdio::piped()).spawn().unwrap();
        is_nearly_live(&watcher, "stock", "inventory_read").await;
        let (code, told) = ended_by(working, signal).await;
        assert_eq!(code, STOPPED, "{arguments:?}: {told}");
        assert!(told.contains("nothing is left behind"), "{arguments:?}: {told}");
        assert_eq!(generations(world.command("generations list")).await, [json!([1, "live"])]);
        held.rollback().await.unwrap();
        nobody_is_there_any_more(&watcher).await;
    }
    daybook.until("the live one answers", "/v1/stock/85123A", available).await;
    daybook.stop().await;
}

/// Who was stopped may have a session in Postgres that still waits: the next must not be taken for it.
async fn nobody_is_there_any_more(watcher: &Client) {
    let there = "select count(*) from pg_stat_activity \
         where datname = current_database() and state <> 'idle' and query like $1";
    eventually("nobody is at the checkpoint", async || {
        let at = "%inventory_read.checkpoint%for update%";
        let there: i64 = watcher.query_one(there, &[&at]).await.unwrap().get(0);
        if there == 0 { Ok(()) } else { Err(format!("{there} are")) }
    })
    .await;
}

/// The tables of a new generation of the stock take no row before it is told to stop.
const SLOW: &str = "\
    create function public.waits() returns trigger language plpgsql as $$ \
      begin perform pg_sleep(86400); return null; end $$; \
    create function public.new_tables_wait() returns event_trigger language plpgsql as $$ \
      declare made record; \
      begin \
        for made in select * from pg_event_trigger_ddl_commands() \
                     where object_identity like 'inventory\\_read.stock\\_%' and object_type = 'table' loop \
          execute format('create trigger waits before insert on %s for each statement \
                            execute function public.waits()', made.object_identity); \
        end loop; \
      end $$; \
    create event trigger new_tables_wait on ddl_command_end when tag in ('CREATE TABLE') \
      execute function public.new_tables_wait()";

#[tokio::test]
async fn a_postgres_that_was_started_for_a_verification_ends_with_it_also_when_it_is_told_to_stop()
{
    let mut world = World::with_own_servers().await;
    world.flags.extend(["--kafka".to_owned(), "off".to_owned()]);
    let daybook = world.start().await;
    world.finds_its_postgres().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let available = |level: &Value| level["available"] == 100;
    daybook.until("it is posted", "/v1/stock/85123A", available).await;
    world.sql().await.batch_execute(SLOW).await.unwrap();
    daybook.stop().await;

    let data = world.own_servers().unwrap();
    let on_it = |arguments: &[&str]| {
        let mut command = binary();
        command.args(arguments).arg("--data-dir").arg(&data).kill_on_drop(true);
        command
    };
    // Who does not say what to verify is refused before anything is started.
    let (code, told) = ended(on_it(&["verify"]).output().await.unwrap());
    assert!(code == Some(1) && told.contains("say which read models"), "{told}");
    assert!(!told.contains("Postgres"), "{told}");

    let verifying = on_it(&["verify", "stock"]).stderr(Stdio::piped()).spawn().unwrap();
    world.finds_its_postgres().await;
    let sql = world.sql().await;
    eventually("it is in the midst of it", async || {
        let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
        let asleep: i64 = sql.query_one(asleep, &[]).await.unwrap().get(0);
        if asleep > 0 { Ok(()) } else { Err("nobody waits".to_owned()) }
    })
    .await;
    let (code, told) = ended_by(verifying, "INT").await;
    assert_eq!(code, STOPPED, "{told}");
    for part in ["its Postgres is started", "nothing is left behind", "is stopped"] {
        assert!(told.contains(part), "{part}? {told}");
    }
    assert!(world.try_sql().await.is_err(), "nobody answers there");
    assert_eq!(generations(on_it(&["generations", "list"])).await, [json!([1, "live"])]);
    assert!(world.try_sql().await.is_err(), "nor after that");
}

/// As where services are apart.
#[tokio::test]
async fn of_all_read_models_those_are_taken_whose_services_are_here_and_the_others_are_named() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let available = |level: &Value| level["available"] == 100;
    daybook.until("it is posted", "/v1/stock/85123A", available).await;
    let of_inventory = async |name: &str, arguments: &[&str]| {
        let mut command = world.command(name);
        let output = command.args(arguments).env("DAYBOOK_SERVICE", "inventory").output();
        let output = output.await.unwrap();
        let out = String::from_utf8(output.stdout.clone()).unwrap();
        let (code, told) = ended(output);
        (code, out, told)
    };
    for (name, done) in
        [("verify", "stock: its 1 rows are what the log says"), ("rebuild", "stock: generation 2")]
    {
        let (code, out, told) = of_inventory(name, &["--all"]).await;
        assert_eq!(code, Some(0), "{told}");
        assert!(out.contains(done), "{out}");
        let left_out = told.lines().find(|line| line.contains("left out")).unwrap_or_default();
        assert!(left_out.contains("`orders` of orders"), "{told}");
        assert!(!left_out.contains("`stock`"), "{told}");
    }
    let (code, out, told) = of_inventory("verify", &["--all", "--json"]).await;
    assert_eq!(code, Some(0), "{told}");
    let lines: Vec<Value> = out.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let orders = lines.iter().find(|it| it["projection"] == "orders").unwrap();
    assert!(orders["left_out"].is_string(), "{orders}");

    // Whoever names one himself wants it, and nothing is begun.
    let (code, _, told) = of_inventory("rebuild", &["stock", "orders"]).await;
    assert!(code == Some(1) && told.contains("`orders` of orders"), "{told}");
    let listed = said(&world, "generations list", &["stock", "--json"]).await.json();
    assert_eq!(listed.len(), 2, "{listed:?}");
    daybook.stop().await;
}

/// What there is of the stock.
async fn generations(mut list: Command) -> Vec<Value> {
    let output = list.args(["stock", "--json"]).output().await.unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let listed = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    listed.map(|it| json!([it["generation"], it["state"]])).collect()
}

/// Sends a signal, and waits until it has ended.
async fn ended_by(child: Child, signal: &str) -> (Option<i32>, String) {
    let pid = child.id().expect("it runs").to_string();
    let kill = Command::new("kill").args([&format!("-{signal}"), &pid]).status().await;
    assert!(kill.unwrap().success());
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.expect("it ends");
    ended(output.unwrap())
}

/// Its exit code, and what it told whoever started it.
fn ended(output: Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}
