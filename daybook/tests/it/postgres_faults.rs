//! Postgres ends, freezes, cuts everybody off, has no room for another connection or none on its disk, all
//! while customers go on: what cannot be done is refused with 503, and everything resumes by itself.

#[path = "../../../event-store/tests/it/server.rs"]
#[expect(dead_code, reason = "replicas and restores are for the tests of the log")]
pub(crate) mod server;

mod disk;
pub(crate) mod frost;
mod open;

use crate::shop::eventually;
use crate::support::World;
use disk::Disk;
use open::Open;
use server::Place;
use tokio_postgres::Client;

/// So many commands that are refused, or acknowledged, show that it is not by chance.
const SOME: u64 = 40;

/// Enough for one process of the shop, the tests, and few more.
const FEW: &[&str] = &["max_connections=130"];
const PLACES: usize = 130;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_stopped_for_a_while_is_waited_for() {
    let place = Place::new();
    let server = place.primary(FEW).await;
    let mut open = Open::on(&server).await;
    open.serves(SOME).await;
    let port = server.port;
    let data = server.stop_in("immediate").await;
    open.misses_postgres().await;
    open.refuses(SOME).await;
    assert!(open.refusals().contains(&"postgres-away".to_owned()), "{:?}", open.refusals());
    let server = place.start(data, port, FEW).await;
    open.serves(SOME).await;
    let data = server.stop_in("fast").await;
    open.refuses(SOME).await;
    let _server = place.start(data, port, FEW).await;
    open.serves(SOME).await;
    open.closes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_frozen_for_a_while_is_waited_for() {
    let place = Place::new();
    let server = place.primary(FEW).await;
    let mut open = Open::on(&server).await;
    open.serves(SOME).await;
    let frost = frost::freeze(&server);
    open.misses_postgres().await;
    open.refuses(SOME).await;
    assert!(open.refusals().contains(&"postgres-away".to_owned()), "{:?}", open.refusals());
    drop(frost);
    open.serves(SOME).await;
    open.closes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_all_terminated_under_load_lose_no_command() {
    let place = Place::new();
    let server = place.primary(FEW).await;
    let mut open = Open::on(&server).await;
    let admin = open.world.sql().await;
    for _ in 0..8 {
        open.serves(SOME).await;
        assert!(cut_off(&admin).await > 0);
    }
    open.serves(SOME).await;
    open.closes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_without_room_for_a_connection_is_waited_for() {
    let place = Place::new();
    let server = place.primary(FEW).await;
    let mut open = Open::on(&server).await;
    let admin = open.world.sql().await;
    open.serves(SOME).await;
    let others = every_place(&open.world, &admin).await;
    open.refuses(SOME).await;
    open.misses_postgres().await;
    drop(others);
    open.serves(SOME).await;
    open.closes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_room_for_rows_holds_up_commands_and_parks_nothing() {
    let disk = Disk::new().await;
    let server = disk.place.primary(FEW).await;
    let mut open = Open::on(&server).await;
    open.serves(SOME).await;
    // First for one read model alone: its follower is held up, and nobody else.
    let rows = file_of(&open.world, "orders_read.order_event_").await;
    disk.is_full_for(&rows);
    eventually("the read model cannot grow", async || {
        let told = server.told();
        let full = told.contains(&format!("could not extend file \"{rows}"));
        if full { Ok(()) } else { Err(told) }
    })
    .await;
    open.serves(SOME).await;
    disk.is_full_for("/base/");
    open.refuses(SOME).await;
    disk.has_room();
    open.serves(SOME).await;
    // The server said that nothing was done, and so is everybody told.
    assert_eq!(open.refusals(), ["unavailable"]);
    open.closes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_room_for_the_write_ahead_log_ends_the_server_and_loses_no_command() {
    let disk = Disk::new().await;
    let few = [FEW, &["restart_after_crash=off", "min_wal_size=2MB"]].concat();
    let mut server = disk.place.primary(&few).await;
    let mut open = Open::on(&server).await;
    open.serves(SOME).await;
    disk.is_full_for("/pg_wal/");
    eventually("the server ends itself", async || match server.process.try_wait().unwrap() {
        Some(_) => Ok(()),
        None => Err(server.told()),
    })
    .await;
    open.refuses(SOME).await;
    open.misses_postgres().await;
    assert!(server.told().contains("PANIC"), "{}", server.told());
    disk.has_room();
    let _server = disk.place.start(server.data.clone(), server.port, &few).await;
    open.serves(SOME).await;
    open.closes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_postgres_is_started_again_until_its_disk_has_room() {
    let disk = Disk::new().await;
    let mut open = Open::with_its_own(&disk).await;
    open.serves(SOME).await;
    disk.is_full_for("/pg_wal/");
    eventually("the write-ahead log needs another file", async || {
        let database = event_store::Database::parse(&open.world.database_url).unwrap();
        let Ok(client) = database.connect("tests").await else { return Ok(()) };
        let switched = client.batch_execute("select pg_switch_wal()").await;
        if switched.is_err() { Ok(()) } else { Err("there was room".to_owned()) }
    })
    .await;
    open.misses_postgres().await;
    open.refuses(SOME).await;
    disk.has_room();
    open.serves(SOME).await;
    open.closes().await;
}

/// Where the rows of the first table of the name are.
async fn file_of(world: &World, name: &str) -> String {
    let sql = "select pg_relation_filepath(oid) from pg_class \
         where relkind = 'r' and starts_with(oid::regclass::text, $1) order by oid limit 1";
    world.sql().await.query_one(sql, &[&name]).await.unwrap().get(0)
}

/// Ends every other connection to the database; says how many there were.
async fn cut_off(admin: &Client) -> i64 {
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid() \
           and application_name is distinct from 'others'";
    admin.query_one(sql, &[]).await.unwrap().get(0)
}

/// Takes every place but the one of `admin`, from another database: meanwhile nobody is let into ours, who would be
/// faster where few places are left.
async fn every_place(world: &World, admin: &Client) -> Vec<Client> {
    let (server, ours) = world.database_url.rsplit_once('/').unwrap();
    let elsewhere = event_store::Database::parse(&format!("{server}/postgres")).unwrap();
    let mut others = vec![elsewhere.connect("others").await.unwrap()];
    let ours_lets = format!("alter database \"{ours}\" allow_connections");
    others[0].batch_execute(&format!("{ours_lets} false")).await.unwrap();
    eventually("every place is somebody else's", async || {
        cut_off(admin).await;
        // Of those who are just sent away each still has his place.
        while let Ok(one) = elsewhere.connect("others").await {
            others.push(one);
        }
        let taken = 1 + others.len();
        if taken == PLACES { Ok(()) } else { Err(format!("{taken} of {PLACES}")) }
    })
    .await;
    others[0].batch_execute(&format!("{ours_lets} true")).await.unwrap();
    others
}
