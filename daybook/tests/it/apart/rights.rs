//! What the user of a service may not do, each of it tried.

use super::street::as_user;
use crate::shop::SERVICES;
use crate::support::World;
use event_store::Database;
use tokio_postgres::Client;

async fn try_as(url: &str) -> Result<Client, String> {
    let database = Database::parse(url).unwrap();
    database.connect("tests").await.map_err(|error| format!("{error:?}"))
}

/// Each must be refused for want of rights, and by nothing else.
async fn is_denied(client: &Client, what: &str) {
    let refused = client.batch_execute(what).await;
    let error = refused.expect_err(&format!("it was done: {what}"));
    let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
    assert_eq!(code, "42501", "{what}: {error:?}");
}

/// What a service must not do to its own log, which it appends to by a function and by nothing else.
fn to_its_own_log(service: &str) -> Vec<String> {
    let statements = [
        "insert into {s}.event select * from {s}.event",
        "update {s}.event set payload = '{}'",
        "delete from {s}.event",
        "truncate {s}.event",
        "alter table {s}.event disable trigger all",
        "drop table {s}.event",
        "drop trigger event_row on {s}.event",
        "drop schema {s} cascade",
        "create table {s}.mine (it int)",
        "create or replace function {s}.append_one() returns int language sql as 'select 1'",
        "update {s}.log_partition set epoch = 7",
        "delete from {s}.log_epoch",
        "insert into {s}.log_epoch values (0, 9, 0, 0, '', now())",
        "select {s}.open_epoch(true)",
        "delete from {s}.migration",
        "create table public.mine (it int)",
        "create schema mine",
        "set session_replication_role = replica",
        "create role somebody",
        "alter role {s}_service superuser",
        "select pg_read_file('/etc/hostname')",
        "copy (select 1) to program 'true'",
    ];
    statements.map(|sql| sql.replace("{s}", service)).to_vec()
}

#[tokio::test]
async fn the_user_of_a_service_can_touch_nothing_else_and_of_its_own_log_only_the_end() {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    for service in SERVICES {
        let own = try_as(&street.url_of(service)).await.unwrap();
        own.query(&format!("select count(*) from {service}.event"), &[]).await.unwrap();
        for statement in to_its_own_log(service) {
            is_denied(&own, &statement).await;
        }
        for other in SERVICES.iter().filter(|it| **it != service) {
            is_denied(&own, &format!("set role {other}_service")).await;
            let user = format!("{service}_service");
            let refused = try_as(&as_user(&street.url_of(other), &user)).await;
            let error = refused.err().unwrap_or_else(|| panic!("{user} is in {other}'s database"));
            assert!(error.contains("42501") || error.contains("permission denied"), "{error}");
        }
    }
}

/// In one database the services are kept apart by the same rights.
#[tokio::test]
async fn in_one_database_the_user_of_a_service_cannot_touch_the_schemas_of_others() {
    let world = World::new().await;
    let laid = world.command("migrate").output().await.unwrap();
    assert!(laid.status.success(), "{}", String::from_utf8_lossy(&laid.stderr));
    for service in SERVICES {
        let url = as_user(&world.database_url, &format!("{service}_service"));
        let own = try_as(&url).await.unwrap();
        for other in SERVICES.iter().filter(|it| **it != service) {
            for statement in [
                "select from {s}.event",
                "select {s}.turn(0)",
                "select from {s}_read.checkpoint",
                "update {s}_read.checkpoint set next_offset = 0",
                "create table {s}_read.mine (it int)",
                "insert into {s}.event select * from {s}.event",
            ] {
                is_denied(&own, &statement.replace("{s}", other)).await;
            }
        }
    }
}
