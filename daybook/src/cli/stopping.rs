//! Long work on a database that Ctrl-C and SIGTERM end in order.

use std::process::ExitCode;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::reach::Reached;
use crate::settings::ReachFlags;

/// As a shell says it of a program that Ctrl-C ended.
pub(super) const STOPPED: u8 = 130;

/// Works on the Daybook that these settings mean, until it is done or told to stop. If nothing runs there, its
/// Postgres runs for that long, and whoever waits is told so.
pub(super) async fn at_work(
    flags: &ReachFlags,
    work: impl AsyncFnOnce(&Reached, &CancellationToken) -> Result<ExitCode>,
) -> Result<ExitCode> {
    let stop = at_a_signal();
    // Not broken off: half a start would leave a server behind.
    let reached = Reached::find(flags).await?;
    let started = reached.started();
    if let Some(folder) = &started {
        eprintln!(
            "daybook: nothing runs in {folder}: its Postgres is started, and stopped at the end"
        );
    }
    let done = match stop.is_cancelled() {
        true => Ok(before_it_began()),
        false => work(&reached, &stop).await,
    };
    reached.leave().await;
    if let Some(folder) = started {
        eprintln!("daybook: the Postgres in {folder} is stopped");
    }
    done
}

/// That it was told to stop before there was anything to drop.
pub(super) fn before_it_began() -> ExitCode {
    eprintln!("daybook: stopped, and nothing is left behind");
    STOPPED.into()
}

/// Told to stop by Ctrl-C of a terminal, or the SIGTERM of whoever started us.
fn at_a_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    // Without signals nothing stops us in order.
    if let (Ok(mut terminate), Ok(mut interrupt)) = signals {
        let told = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            eprintln!("daybook: told to stop, on its way …");
            told.cancel();
        });
    }
    stop
}
