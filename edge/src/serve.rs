use crate::metrics;
use axum::{Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{error::Error, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
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
            accept_pause: Duration::from_millis(200),
            deadline: Duration::from_secs(10),
        }
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
/// This is `axum::serve` with four things that it lacks: limits on the number of connections and on slow, idle and
/// stalled ones, answers that are not held back by Nagle's algorithm, and an end to what outlives the deadline.
pub async fn run(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    limits: Serving,
) -> Result<(), Unfinished> {
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
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let mut tidy = interval(TIDY_EVERY);
    tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = tidy.tick() => metrics::tidy(),
            (place, accepted) = accept() => match accepted {
                Ok((stream, from)) => {
                    let serving = serve((stream, from), router.clone(), limits, shutdown.clone());
                    let cut = cut.clone();
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

/// Each request carries the address that it came from, as `ConnectInfo`.
async fn serve(
    (stream, from): (TcpStream, SocketAddr),
    router: Router,
    limits: Serving,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with Nagle's algorithm");
    }
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.idle);
    let service = TowerToHyperService::new(AddExtension::new(router, ConnectInfo(from)));
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
