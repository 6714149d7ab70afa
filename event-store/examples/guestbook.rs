//! A domain of its own, from nothing to a running projection:
//! `cargo run -p event-store --example guestbook -- postgres://postgres@127.0.0.1/guests`

use async_trait::async_trait;
use decider::{Decider, Event};
use event_store::follow::{ApplyError, Feed, Follower, ReadSide, Runner, wait_until_posted};
use event_store::{Database, Envelope, Log, LogSettings, Recorded, TransactLimits};
use event_store::{Transactor, migrate};
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, error::Error, sync::Arc, time::Duration, time::UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct Book;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sign(String);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Signed {
    #[serde(rename = "book.signed")]
    Signed { guest: String },
}

impl Event for Signed {
    const TYPES: &'static [(&'static str, i32)] = &[("book.signed", 1)];
}

impl Decider for Book {
    const CATEGORY: &'static str = "book";
    type State = Vec<String>;
    type Command = Sign;
    type Event = Signed;
    type Rejection = Infallible;

    fn decide(guests: &Vec<String>, Sign(guest): &Sign) -> Result<Vec<Signed>, Infallible> {
        let signed = guests.contains(guest);
        Ok(if signed { vec![] } else { vec![Signed::Signed { guest: guest.clone() }] })
    }

    fn evolve(mut guests: Vec<String>, Signed::Signed { guest }: &Signed) -> Vec<String> {
        guests.push(guest.clone());
        guests
    }
}

struct Guests;

#[async_trait]
impl Follower for Guests {
    fn name(&self) -> &'static str {
        "guests"
    }
    fn logs(&self) -> Vec<String> {
        vec!["guestbook".into()]
    }
    async fn apply(
        &self,
        tx: &deadpool_postgres::Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        for event in batch {
            let Signed::Signed { guest } = event.decode()?;
            tx.execute("insert into guestbook_read.guest values ($1)", &[&guest]).await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let url = std::env::args().nth(1).ok_or("which database? give its URL")?;
    let guests = run(&Database::parse(&url)?).await?;
    tracing::info!(?guests);
    Ok(())
}

pub(crate) async fn run(database: &Database) -> Result<Vec<String>, Box<dyn Error>> {
    migrate(database, "guestbook", 8).await?;
    let log = Log::open(LogSettings::new("guestbook", 8, database.of_service("guestbook"))).await?;
    let read = ReadSide::open(log.database(), "guestbook", 4)?;
    let client = read.pool.get().await?;
    client.batch_execute("create table if not exists guestbook_read.guest (name text)").await?;
    let stop = CancellationToken::new();
    let runner = Runner::new(vec![Feed::new(log.clone())], stop.clone());
    runner.follow(&(Arc::new(Guests) as Arc<dyn Follower>), 0, &read);
    let book = Transactor::<Book>::new(log.clone(), TransactLimits::default());
    for (guest, number) in [("Ada", 1), ("Grace", 2), ("Ada", 3)] {
        let envelope = Envelope::new(Uuid::from_u128(number), UNIX_EPOCH.into());
        let done = book.transact("book-1", Sign(guest.into()), envelope).await?;
        let posted = done.position.ok_or("the book has no event")?;
        wait_until_posted(&read, &posted, Duration::from_secs(10)).await?;
    }
    let rows = client.query("select name from guestbook_read.guest order by 1", &[]).await?;
    stop.cancel();
    runner.wait().await;
    log.close().await;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
