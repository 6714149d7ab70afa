use crate::{metrics, tls::Tls};
use axum::{Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{error::Error, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::add_extension::AddExtension;

const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Bounds of [`run`].
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// Connections that are open at once; whoever comes then waits to be accepted.
    pub connections: usize,
    /// A connection on which no request's headers are complete for so long is closed.
    pub idle: Duration,
    /// A connection whose caller takes nothing of an answer for so long is closed.
    pub stalled: Duration,
    /// Of a connection that is to speak TLS: until it does.
    pub handshake: Duration,
    /// After a failed accept (no file descriptors left, mostly) nothing is accepted for so long.
    pub accept_pause: Duration,
    /// How long an orderly stop may take.
    pub deadline: Duration,
}

impl Default for Serving {
    fn default() -> Self {
        Serving {
            connections: 10_000,
            idle: Duration::from_secs(75),
            stalled: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            accept_pause: Duration::from_millis(200),
            deadline: Duration::from_secs(10),
        }
    }
}

/// Where callers come in.
#[derive(Debug)]
pub struct Door {
    pub listener: TcpListener,
    /// None: what is said can be read on the way.
    pub tls: Option<Tls>,
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Self {
        Door { listener, tls: None }
    }
}

/// The deadline passed with connections still open; they were cut.
#[derive(Debug, thiserror::Error)]
#[error("{connections} connections were cut at the deadline")]
pub struct Unfinished {
    pub connections: usize,
}

/// Serves the router until `shutdown`; then accepts nothing new, finishes what is in flight, and returns by
/// the deadline.
///
/// This is `axum::serve` with five things that it lacks: TLS, limits on the number of connections and on slow, idle and
/// stalled ones, answers that are not held back by Nagle's algorithm, and an end to what outlives the deadline.
pub async fn run(
    door: impl Into<Door>,
    router: Router,
    shutdown: CancellationToken,
    limits: Serving,
) -> Result<(), Unfinished> {
    let Door { listener, tls } = door.into();
    let room = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let accept = async || {
        let place = room.clone().acquire_owned().await.expect("it is never closed");
        (place, listener.accept().await)
    };
    let open = ::metrics::gauge!("http_connections");
    let refused = ::metrics::counter!("http_accept_failures_total");
    refused.increment(0);
    ::metrics::counter!("http_connections_idle_total").increment(0);
    ::metrics::counter!("http_connections_stalled_total").increment(0);
    ::metrics::counter!("http_handshake_failures_total").increment(0);
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let mut tidy = interval(TIDY_EVERY);
    tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = tidy.tick() => metrics::tidy(),
            (place, accepted) = accept() => match accepted {
                Ok((stream, from)) => {
                    let ends = (ConnectInfo(from), router.clone(), limits, shutdown.clone());
                    let (serving, cut) = (welcome(stream, tls.clone(), ends), cut.clone());
                    let open = open.clone();
                    connections.spawn(async move {
                        open.increment(1);
                        cut.run_until_cancelled_owned(serving).await;
                        open.decrement(1);
                        drop(place);
                    });
                }
                Err(error) => {
                    refused.increment(1);
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(limits.accept_pause).await;
                }
            },
        }
    }
    drop(listener);
    connections.close();
    if timeout(limits.deadline, connections.wait()).await.is_ok() {
        return Ok(());
    }
    let unfinished = Unfinished { connections: connections.len() };
    cut.cancel();
    Err(unfinished)
}

/// Each request carries the address that it came from.
type Ends = (ConnectInfo<SocketAddr>, Router, Serving, CancellationToken);

async fn welcome(stream: TcpStream, tls: Option<Tls>, ends: Ends) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with Nagle's algorithm");
    }
    let Some(tls) = tls else { return serve(stream, ends).await };
    let why = match timeout(ends.2.handshake, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => return serve(stream, ends).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    ::metrics::counter!("http_handshake_failures_total").increment(1);
    tracing::debug!(why, "a connection does not speak TLS as we do");
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    (from, router, limits, shutdown): Ends,
) {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.idle);
    let service = TowerToHyperService::new(AddExtension::new(router, from));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.stalled));
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(Box::pin(stream)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        if error.is_timeout() {
            ::metrics::counter!("http_connections_idle_total").increment(1);
        }
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut) {
            ::metrics::counter!("http_connections_stalled_total").increment(1);
        }
        tracing::debug!(%error, "a connection broke");
    }
}
