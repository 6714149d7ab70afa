//! The embedded Postgres and Kafka, as real processes that are stopped, killed and found again.

use std::path::Path;
use std::time::Duration;

use daybook::embedded::{
    Embedded, EmbeddedError, EmbeddedSettings, Java, Kafka, KafkaChoice, KafkaSettings, Postgres,
    PostgresSettings, Runtime,
};
use tokio::time::timeout;
use tokio_postgres::NoTls;

const GENEROUS: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_postgres_keeps_its_data_and_its_address_over_a_stop_and_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let settings = postgres_in(folder.path());
    let first = Postgres::start(&settings).await.unwrap();
    let url = first.url();
    execute(&url, "create table note (text text); insert into note values ('ordered')").await;
    first.stop().await;

    let second = Postgres::start(&settings).await.unwrap();
    assert_eq!(second.url(), url);
    assert_eq!(count_notes(&url).await, 1);
    second.kill().await;

    let third = Postgres::start(&settings).await.unwrap();
    assert_eq!(third.url(), url);
    assert_eq!(count_notes(&url).await, 1);
}

#[tokio::test]
async fn a_running_postgres_is_adopted_and_one_of_another_kind_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let settings = postgres_in(folder.path());
    let first = Postgres::start(&settings).await.unwrap();
    let second = Postgres::start(&settings).await.unwrap();
    assert_eq!(second.process().pid(), first.process().pid());

    let durable = PostgresSettings { durable: true, ..settings };
    let third = Postgres::start(&durable).await.unwrap();
    assert_ne!(third.process().pid(), first.process().pid());
    assert!(!first.process().alive());
}

#[tokio::test]
async fn a_password_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(&postgres_in(folder.path())).await.unwrap();
    let mut stranger = postgres.config();
    stranger.password("guessed");
    assert!(stranger.connect(NoTls).await.is_err());
}

#[tokio::test]
async fn a_kafka_is_adopted_and_starts_again_after_a_crash_and_after_its_data_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = kafka_in(folder.path());
    let first = Kafka::start(&settings).await.unwrap();
    let second = Kafka::start(&settings).await.unwrap();
    assert_eq!(second.process().pid(), first.process().pid());
    let brokers = first.brokers();
    second.kill().await;
    assert!(!first.process().alive());

    let third = Kafka::start(&settings).await.unwrap();
    assert_eq!(third.brokers(), brokers);
    third.stop().await;
    Kafka::wipe(&settings).unwrap();

    let fourth = Kafka::start(&settings).await.unwrap();
    assert_eq!(fourth.brokers(), brokers);
}

#[tokio::test]
async fn commands_can_be_accepted_before_kafka_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut embedded = Embedded::start(embedded_in(folder.path(), true)).await.unwrap();
    assert_eq!(*embedded.kafka.borrow(), None);
    assert!(embedded.lines()[1].contains("in a few seconds"), "{:?}", embedded.lines());
    let (_client, _connection) = embedded.database.connect(NoTls).await.unwrap();

    let up = timeout(GENEROUS, embedded.kafka.wait_for(Option::is_some)).await;
    let brokers = up.unwrap().unwrap().clone();
    assert_eq!(Some(embedded.lines()[1].replace("Kafka     ", "")), brokers);
    embedded.announce("http://127.0.0.1:7400");
    let runtime = Runtime::find(folder.path()).unwrap();
    assert_eq!(runtime.kafka_brokers, brokers);
    assert_eq!(runtime.url.as_deref(), Some("http://127.0.0.1:7400"));
    assert_eq!(runtime.pid, std::process::id());

    let url = runtime.database_url.unwrap();
    embedded.stop().await;
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
    assert_eq!(Runtime::find(folder.path()), None);
}

#[tokio::test]
async fn a_data_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let first = Embedded::start(embedded_in(folder.path(), false)).await.unwrap();
    assert!(first.lines()[1].contains("none"), "{:?}", first.lines());
    let second = Embedded::start(embedded_in(folder.path(), false)).await;
    assert!(matches!(second, Err(EmbeddedError::Owned { .. })), "{second:?}");
    first.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = Embedded::start(embedded_in(folder.path(), false)).await.unwrap();
    let url = Runtime::find(folder.path()).unwrap().database_url.unwrap();
    let pid = postmaster(&url).await;
    let status = std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    assert!(status.success());

    let again = async {
        while tokio_postgres::connect(&url, NoTls).await.is_err() || postmaster(&url).await == pid {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(GENEROUS, again).await.unwrap();
    embedded.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let settings = EmbeddedSettings {
        data_dir: folder.path().to_owned(),
        database_url: Some("postgres://nobody@127.0.0.1:1/none".to_owned()),
        kafka: KafkaChoice::Embedded { port, jars: None },
    };
    let refused = Embedded::start(settings).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("port {port}")), "{refused}");
}

fn postgres_in(folder: &Path) -> PostgresSettings {
    PostgresSettings { durable: false, leashed: true, ..PostgresSettings::new(folder) }
}

fn kafka_in(folder: &Path) -> KafkaSettings {
    let java = Java::find(None).expect("Java and Kafka's jars; run `make setup`");
    KafkaSettings { data_dir: folder.to_owned(), port: 0, java, leashed: true }
}

fn embedded_in(folder: &Path, kafka: bool) -> EmbeddedSettings {
    let kafka = match kafka {
        true => KafkaChoice::Embedded { port: 0, jars: None },
        false => KafkaChoice::Off,
    };
    EmbeddedSettings { data_dir: folder.to_owned(), database_url: None, kafka }
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    // It ends with its client.
    drop(tokio::spawn(connection));
    client
}

async fn execute(url: &str, statements: &str) {
    connect(url).await.batch_execute(statements).await.unwrap();
}

async fn count_notes(url: &str) -> i64 {
    connect(url).await.query_one("select count(*) from note", &[]).await.unwrap().get(0)
}

/// The postmaster's pid, as Postgres itself notes it in its data folder.
async fn postmaster(url: &str) -> String {
    let note = "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)";
    connect(url).await.query_one(note, &[]).await.unwrap().get(0)
}
