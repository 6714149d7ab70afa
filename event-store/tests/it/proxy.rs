//! A TCP proxy before a server, Postgres, Kafka or one of ours, which misbehaves as it is told.

use event_store::Database;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Where bytes go; or the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Toward {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Pass,
    /// The connection that carries the byte after so many more toward one end is closed instead, at both ends.
    /// Then all pass again.
    Cut {
        toward: Toward,
        after: usize,
    },
    /// Every connection that carries a byte toward one end is closed instead, at both ends.
    Sever(Toward),
    /// Everything arrives, that late; the end of a connection too.
    Delay(Duration),
    /// So many bytes at a time, with a pause after each piece.
    Throttle {
        bytes: usize,
        pause: Duration,
    },
    /// Connections stay open at both ends and nothing arrives. Those that lived then never carry anything
    /// again, as when a firewall forgot them; new ones are taken, and closed when all pass again.
    BlackHole,
    /// The connections of that moment are closed at one end, and the other is not told. New ones pass.
    HalfOpen {
        closed: Toward,
    },
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    line: Arc<Line>,
    _ends_it: DropGuard,
}

struct Line {
    server: String,
    mode: watch::Sender<Mode>,
    taken: AtomicUsize,
    carried: [AtomicUsize; 2],
    stop: CancellationToken,
}

impl Proxy {
    /// In front of the server of `database`.
    pub(crate) async fn before(database: &Database) -> Self {
        Self::before_port(database.config.get_ports()[0]).await
    }

    /// In front of a server that may not be there yet; ends with all its connections when it is dropped.
    pub(crate) async fn before_port(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let line = Arc::new(Line {
            server: format!("127.0.0.1:{server}"),
            mode: watch::Sender::new(Mode::Pass),
            taken: AtomicUsize::new(0),
            carried: [AtomicUsize::new(0), AtomicUsize::new(0)],
            stop: stop.clone(),
        });
        let taking = line.clone();
        tokio::spawn(async move {
            let taking_all = async {
                while let Ok((client, _)) = listener.accept().await {
                    let line = taking.clone();
                    line.taken.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        tokio::select! { () = line.carry(client) => {}, () = line.stop.cancelled() => {} }
                    });
                }
            };
            tokio::select! { () = taking_all => {}, () = taking.stop.cancelled() => {} }
        });
        Proxy { port, line, _ends_it: stop.drop_guard() }
    }

    /// `database` by way of this proxy.
    pub(crate) fn of(&self, database: &Database) -> Database {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port);
        config.user(database.config.get_user().unwrap());
        config.dbname(database.config.get_dbname().unwrap());
        Database { config, ..database.clone() }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.line.mode.send_replace(mode);
    }

    pub(crate) fn mode(&self) -> Mode {
        *self.line.mode.borrow()
    }

    /// Connections that were taken until now.
    pub(crate) fn taken(&self) -> usize {
        self.line.taken.load(Ordering::SeqCst)
    }

    /// Bytes that were carried toward the server and toward the client until now.
    pub(crate) fn carried(&self) -> [usize; 2] {
        [0, 1].map(|end: usize| self.line.carried[end].load(Ordering::SeqCst))
    }
}

/// A direction ends before its sender does.
struct Cut;
impl Line {
    async fn carry(&self, client: TcpStream) {
        let mut mode = self.mode.subscribe();
        if *mode.borrow_and_update() == Mode::BlackHole {
            self.mends().await;
            return drop(client);
        }
        let Ok(server) = TcpStream::connect(&self.server).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let fate = async {
            loop {
                if mode.changed().await.is_err() {
                    return std::future::pending().await;
                }
                let now = *mode.borrow_and_update();
                if matches!(now, Mode::BlackHole | Mode::HalfOpen { .. }) {
                    return now;
                }
            }
        };
        let both = async {
            tokio::try_join!(
                self.pump(Toward::Server, &mut from_client, &mut to_server),
                self.pump(Toward::Client, &mut from_server, &mut to_client),
            )
        };
        let fate = tokio::select! { _ended = both => return, fate = fate => fate };
        let Mode::HalfOpen { closed } = fate else {
            self.mends().await;
            drop((from_server, to_server));
            return hold((from_client, to_client)).await;
        };
        if closed == Toward::Server {
            drop((from_server, to_server));
            return hold((from_client, to_client)).await;
        }
        drop((from_client, to_client));
        self.mends().await;
        drop((from_server, to_server));
    }

    /// Until all pass again: then the server's own probes tell it which of its sessions are dead.
    async fn mends(&self) {
        let _ = self.mode.subscribe().wait_for(|mode| *mode == Mode::Pass).await;
    }

    /// Carries one direction until its sender ends it. What is read is on its way, and arrives when it is due
    /// even if its sender has gone meanwhile.
    async fn pump(
        &self,
        toward: Toward,
        from: &mut OwnedReadHalf,
        to: &mut OwnedWriteHalf,
    ) -> Result<(), Cut> {
        let (send, mut on_its_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
        let collecting = async move {
            let mut buffer = vec![0; 16 << 10];
            loop {
                let read = from.read(&mut buffer).await.unwrap_or(0);
                let delay = self.delay();
                let _ = send.send((Instant::now() + delay, buffer[..read].to_vec()));
                if read == 0 {
                    return Ok(());
                }
            }
        };
        let delivering = async move {
            while let Some((due, bytes)) = on_its_way.recv().await {
                tokio::time::sleep_until(due).await;
                self.deliver(toward, &bytes, to).await?;
            }
            let _ = to.shutdown().await;
            Ok(())
        };
        tokio::try_join!(collecting, delivering).map(|_| ())
    }

    fn delay(&self) -> Duration {
        if let Mode::Delay(delay) = *self.mode.borrow() { delay } else { Duration::ZERO }
    }

    async fn deliver(
        &self,
        toward: Toward,
        mut bytes: &[u8],
        to: &mut OwnedWriteHalf,
    ) -> Result<(), Cut> {
        while !bytes.is_empty() {
            let (length, pause, cut) = match *self.mode.borrow() {
                Mode::Throttle { bytes: most, pause } => {
                    (most.min(bytes.len()), Some(pause), false)
                }
                Mode::Cut { toward: at, after } if at == toward => {
                    (after.min(bytes.len()), None, after <= bytes.len())
                }
                Mode::Sever(at) if at == toward => return Err(Cut),
                Mode::Pass
                | Mode::Cut { .. }
                | Mode::Sever(_)
                | Mode::Delay(_)
                | Mode::BlackHole
                | Mode::HalfOpen { .. } => (bytes.len(), None, false),
            };
            let (now, rest) = bytes.split_at(length);
            to.write_all(now).await.map_err(|_gone| Cut)?;
            self.carried[toward as usize].fetch_add(length, Ordering::SeqCst);
            if cut {
                self.mode.send_replace(Mode::Pass);
                return Err(Cut);
            }
            self.mode.send_if_modified(|mode| {
                if let Mode::Cut { toward: at, after } = mode
                    && *at == toward
                {
                    *after -= length;
                }
                false
            });
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            bytes = rest;
        }
        Ok(())
    }
}

/// Keeps something open that nobody hears of any more.
async fn hold<T>(open: T) {
    std::future::pending::<()>().await;
    drop(open);
}
