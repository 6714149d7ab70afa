use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use edge::Problem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Closed while Postgres is known to be away: who comes is told at once, and nobody waits for it in vain.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<AtomicBool>);

/// Seconds until it may have come back.
const RETRY_AFTER_S: u32 = 1;

impl Gate {
    pub(super) fn set(&self, away: bool) {
        let was_away = self.0.swap(away, Ordering::Relaxed);
        if away && !was_away {
            tracing::warn!("postgres is away; until it is back everybody is told so");
        } else if was_away && !away {
            tracing::warn!("postgres is back");
        }
    }

    pub(super) fn before(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, pass))
    }
}

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    if gate.0.load(Ordering::Relaxed) {
        return Problem::unavailable("postgres-away", RETRY_AFTER_S)
            .detail("Postgres is away. Send a command again with the same Idempotency-Key.")
            .in_a_rush()
            .into_response();
    }
    next.run(request).await
}
