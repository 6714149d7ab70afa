use command_api::prices::Prices;
use edge::Health;
use event_store::follow::{ReadSide, Runner};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) struct Watched {
    pub(super) health: Health,
    pub(super) prices: Prices,
    pub(super) runner: Runner,
    pub(super) reads: Vec<ReadSide>,
    pub(super) stop: CancellationToken,
}

const EVERY: Duration = Duration::from_millis(500);

/// Keeps the answer of `/health/ready` true.
pub(super) async fn watch(watched: Watched) {
    let postgres = watched.health.component("postgres");
    let prices = watched.health.component("price-list");
    let followers = watched.health.component("followers");
    loop {
        match ping(&watched.reads).await {
            Ok(()) => postgres.ready(),
            Err(why) => postgres.missing(why),
        }
        match watched.prices.is_ready().await {
            Ok(true) => prices.ready(),
            Ok(false) => prices.missing("it has not passed the catalogue's heads of this start"),
            Err(_) => prices.missing("it cannot be read"),
        }
        match watched.runner.stopped().as_slice() {
            [] => followers.ready(),
            stopped => {
                let names: Vec<_> = stopped.iter().map(|s| s.name.as_str()).collect();
                followers.missing(format!("standing still: {}", names.join(", ")));
            }
        }
        tokio::select! {
            () = watched.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn ping(reads: &[ReadSide]) -> Result<(), String> {
    for read in reads {
        let client =
            read.pool.get().await.map_err(|_| format!("{} is out of reach", read.schema))?;
        let pinged = client.query_one("select 1", &[]).await;
        pinged.map_err(|_| format!("{} does not answer", read.schema))?;
    }
    Ok(())
}
