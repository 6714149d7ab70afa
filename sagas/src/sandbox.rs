//! The sandbox: a payment provider that moves no money.
//!
//! It speaks Stripe's wire format over HTTP (form-encoded requests, JSON answers, idempotency keys,
//! Stripe's errors and states) for the part of it that a shop with manual capture needs: payment
//! intents that are confirmed as they are created, captured or cancelled later, and refunded. Every
//! act is written to a book of its own before it is answered, so that a charge that Daybook does not
//! know of, or made twice, shows. It never forgets a key, where Stripe keeps one for 24 hours.
//!
//! Stripe's test payment methods do what they do at Stripe; [`Character`] lists ours.
//!
//! Source: <https://docs.stripe.com/api/payment_intents>, `/api/refunds`, `/api/idempotent_requests`,
//! `/error-low-level`.

mod routes;
mod gate;
mod post;
mod operation;
mod create;
mod capture;
mod cancel;
mod refund;
mod lookup;
mod report;
mod behaviour;
mod character;
mod ledger;
mod show;
mod book;
mod fault;
mod params;
mod line;

pub use behaviour::{Behaviour, Mode};
pub use book::BookError;
pub use character::Character;
pub use report::{OrderEntry, Report, Sums};

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use book::Book;
use line::{Line, Listener};

/// Why the sandbox could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox's book cannot be used")]
    Book(#[source] BookError),
    #[error("the sandbox's listener failed")]
    Serve(#[source] std::io::Error),
}

/// Serves the sandbox until `shutdown`, and returns when all that was begun has been answered and
/// written. The book at `book_path` is made if it is not there.
pub async fn run(
    listener: TcpListener,
    book_path: &Path,
    shutdown: CancellationToken,
) -> Result<(), SandboxError> {
    let book = Book::open(book_path).map_err(SandboxError::Book)?;
    let sandbox = Arc::new(Sandbox::new(book));
    let app = routes::table(sandbox.clone()).into_make_service_with_connect_info::<Line>();
    let served = axum::serve(Listener(listener), app)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await;
    sandbox.acts.close();
    sandbox.acts.wait().await;
    served.map_err(SandboxError::Serve)
}

/// What the endpoints share.
struct Sandbox {
    book: Book,
    behaviour: Mutex<Behaviour>,
    keys: Mutex<Keys>,
    /// Acts go on when their caller has hung up, as they do at a real provider.
    acts: TaskTracker,
}

/// What is remembered of an idempotency key while nothing is saved under it.
#[derive(Default)]
struct Keys {
    in_flight: HashSet<String>,
    /// How often a key met [`Character::ErrorsFirst`].
    errors: HashMap<String, u32>,
}

impl Sandbox {
    fn new(book: Book) -> Self {
        Self { book, behaviour: Mutex::default(), keys: Mutex::default(), acts: TaskTracker::new() }
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
