//! A generation that is made live over a connection which is lost in the midst of that.

use crate::support::{Process, fresh_database, rebuild};
use crate::verify::{named, quiet};
use event_store::Database;
use event_store::follow::Source;
use projections::{Check, Generations, Left, Progress, RebuildError, Rebuilt, Work, roll_back};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What becomes of the commit that makes a generation the live one.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// The connection is cut before it arrives.
    NeverArrives,
    /// The connection is cut before its answer arrives.
    AnswerIsLost,
    /// The same, and from then on there is no connection at all.
    AllIsLost,
    /// The connection stays, and nothing is heard of it any more.
    AnswerIsHeldBack,
}

/// A line to Postgres, on which one such commit meets its fate.
struct Line {
    server: u16,
    fate: Fate,
    /// That it has met it.
    met: CancellationToken,
}

impl Line {
    /// The same database by way of it.
    async fn before(database: &Database, fate: Fate) -> (Database, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = database.config.clone();
        let (host, port) = ("127.0.0.1", listener.local_addr().unwrap().port());
        config = {
            let mut by_line = tokio_postgres::Config::new();
            by_line.host(host).port(port).dbname(config.get_dbname().unwrap());
            by_line.user(config.get_user().unwrap());
            by_line
        };
        let (server, met) = (database.config.get_ports()[0], CancellationToken::new());
        let line = Arc::new(Line { server, fate, met: met.clone() });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let line = line.clone();
                tokio::spawn(async move {
                    if !line.is_down() {
                        tokio::select! { () = line.carry(client) => {}, () = line.goes_down() => {} }
                    }
                });
            }
        });
        (Database { config, ..database.clone() }, met)
    }

    fn is_down(&self) -> bool {
        self.fate == Fate::AllIsLost && self.met.is_cancelled()
    }

    async fn goes_down(&self) {
        self.met.cancelled().await;
        if self.fate != Fate::AllIsLost {
            std::future::pending().await
        }
    }

    async fn carry(&self, mut client: TcpStream) {
        let mut server = TcpStream::connect(("127.0.0.1", self.server)).await.unwrap();
        let (mut asked, mut said) = (vec![0; 65_536], vec![0; 65_536]);
        let mut switches = false;
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(1..) = read else { return };
                    let asked = &asked[..read.unwrap()];
                    switches |= holds(asked, "set local synchronous_commit = on");
                    if switches && holds(asked, "COMMIT") && !self.met.is_cancelled() {
                        return self.ends(asked, (client, server)).await;
                    }
                    server.write_all(asked).await.unwrap();
                }
                read = server.read(&mut said) => {
                    let Ok(1..) = read else { return };
                    if client.write_all(&said[..read.unwrap()]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn ends(&self, commit: &[u8], (client, mut server): (TcpStream, TcpStream)) {
        if self.fate != Fate::NeverArrives {
            server.write_all(commit).await.unwrap();
            // That it is committed.
            server.read_u8().await.unwrap();
        }
        self.met.cancel();
        if self.fate == Fate::AnswerIsHeldBack {
            std::future::pending::<()>().await;
        }
        drop((client, server));
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|some| some == text.as_bytes())
}

/// A stock whose first generation is live, and a process behind such a line.
async fn behind_a_line(fate: Fate) -> (Process, Process, CancellationToken) {
    let database = fresh_database().await;
    let here = Process::start(&database).await;
    Generations::open(&here.reads).await.unwrap();
    let (by_line, met) = Line::before(&database, fate).await;
    (here, Process::start(&by_line).await, met)
}

async fn states(process: &Process) -> String {
    let sql = "select string_agg(generation || ' ' || state, ', ' order by generation) \
               from inventory_read.generation where projection = 'stock'";
    process.admin.query_one(sql, &[]).await.unwrap().get(0)
}

async fn rebuilt(process: &Process) -> Result<Rebuilt, RebuildError> {
    rebuild(&named("stock"), process.read("inventory"), &process.logs, quiet()).await
}

/// Rebuilds, and is stopped as soon as something comes true.
async fn stopped(
    process: &Process,
    met: Option<CancellationToken>,
    when: fn(&Progress) -> bool,
) -> Left {
    let (stock, stop) = (named("stock"), CancellationToken::new());
    let (told, hears) = (stop.clone(), stop.clone());
    tokio::spawn(async move {
        if let Some(met) = met {
            met.cancelled().await;
            told.cancel();
        }
    });
    let tell = Arc::new(move |it: Progress| {
        if when(&it) {
            hears.cancel();
        }
    });
    let logs: Vec<_> = process.logs.iter().map(Source::from).collect();
    let read = process.read("inventory");
    let work = Work { projection: &stock, read, logs: &logs, tell, stop };
    match projections::rebuild(&work, Check::Verify).await {
        Err(RebuildError::Stopped(left)) => left,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_switch_whose_commit_never_arrived_has_failed_and_says_so() {
    let (here, behind, met) = behind_a_line(Fate::NeverArrives).await;
    let failed = rebuilt(&behind).await;
    assert!(matches!(failed, Err(RebuildError::Store(_))), "{failed:?}");
    assert!(met.is_cancelled(), "it came as far as that");
    assert_eq!(states(&here).await, "1 live, 2 building");
    assert_eq!(rebuilt(&behind).await.unwrap().generation, 2);
}

#[tokio::test]
async fn a_switch_whose_answer_was_lost_is_looked_up_and_has_come_to_pass() {
    let (here, behind, met) = behind_a_line(Fate::AnswerIsLost).await;
    assert_eq!(rebuilt(&behind).await.unwrap().generation, 2);
    assert!(met.is_cancelled(), "it came as far as that");
    assert_eq!(states(&here).await, "1 old, 2 live");
}

#[tokio::test]
async fn a_rollback_whose_answer_was_lost_has_come_to_pass_too() {
    let (here, behind, met) = behind_a_line(Fate::AnswerIsLost).await;
    rebuilt(&here).await.unwrap();
    let (stock, logs) = (named("stock"), behind.sources.clone());
    let (read, stop) = (behind.read("inventory"), CancellationToken::new());
    let work = Work { projection: &stock, read, logs: &logs, tell: quiet(), stop };
    assert_eq!(roll_back(&work).await.unwrap(), 1);
    assert!(met.is_cancelled(), "it came as far as that");
    assert_eq!(states(&here).await, "1 live, 2 old");
}

#[tokio::test]
async fn while_nobody_can_say_what_became_of_a_switch_it_is_asked_for_and_nothing_is_claimed() {
    let (here, behind, met) = behind_a_line(Fate::AllIsLost).await;
    let left = stopped(&behind, None, |it| it.waits.is_some()).await;
    assert!(met.is_cancelled() && matches!(left, Left::Unknown(_)), "{left:?}");
    assert_eq!(states(&here).await, "1 old, 2 live");
}

#[tokio::test]
async fn who_stops_a_rebuild_after_its_switch_is_told_that_it_is_live() {
    let (here, behind, met) = behind_a_line(Fate::AnswerIsHeldBack).await;
    assert_eq!(stopped(&behind, Some(met), |_| false).await, Left::Live(2));
    assert_eq!(states(&here).await, "1 old, 2 live");
}
