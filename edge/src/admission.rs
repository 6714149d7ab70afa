//! Who is let in. When requests wait for too long, more of them would only make all wait longer: then new
//! ones are refused at once, and those inside keep their time.

use crate::Problem;
use axum::{
    Router,
    body::HttpBody,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Bounds of what is inside at once, of one kind of request.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionLimits {
    /// So many are inside at most.
    pub most: usize,
    /// None: only their number counts, as where a request may wait for good reasons.
    pub crowd: Option<Crowd>,
}

/// So many that wait are a crowd. While there is one that has lasted longer than a burst does, others are let in only
/// as long as those inside are soon done: the queue stays as short as keeps everybody busy, whatever the rate is.
/// A few that are slow for reasons of their own keep nobody out. The idea is that of controlled delay (RFC 8289): not
/// the length of a queue tells overload, but that it stands.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    pub size: usize,
    /// A crowd that is gone sooner is a burst, and taken as a whole.
    pub burst: Duration,
    /// How long the first `size` of a crowd that stands may have waited when another one is let in.
    pub delay: Duration,
}

impl Default for Crowd {
    fn default() -> Self {
        let (burst, delay) = (Duration::from_millis(250), Duration::from_millis(20));
        Crowd { size: 32, burst, delay }
    }
}

/// How often a person is told of those who were refused.
const TELL_EVERY: Duration = Duration::from_secs(5);
const RETRY_AFTER_S: u32 = 1;

/// Puts an admission around endpoints; `kind` names it in metrics, and `waiting` is told how many callers wait for
/// an answer.
pub fn admitted(
    router: Router,
    kind: &'static str,
    limits: AdmissionLimits,
    waiting: Arc<AtomicUsize>,
) -> Router {
    let inside = metrics::gauge!("daybook_requests_inside", "kind" => kind);
    let refused = metrics::counter!("daybook_requests_refused_total", "kind" => kind);
    let admission = Admission { kind, limits, waiting, inside, refused, state: Mutex::default() };
    router.layer(middleware::from_fn_with_state(Arc::new(admission), admit))
}

struct Admission {
    kind: &'static str,
    limits: AdmissionLimits,
    waiting: Arc<AtomicUsize>,
    inside: metrics::Gauge,
    refused: metrics::Counter,
    state: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    count: usize,
    next: u64,
    /// Since when each waits, in the order of arrival.
    waiting: BTreeMap<u64, Instant>,
    /// Since when there has been a crowd, and when it last kept somebody out.
    crowded: Option<Instant>,
    kept_out: Option<Instant>,
    untold: u64,
    told: Option<Instant>,
}

/// Leave to be inside, until it is dropped.
#[derive(Clone)]
pub(crate) struct Permit(Arc<Place>);

struct Place {
    admission: Arc<Admission>,
    number: Mutex<Option<u64>>,
}

impl Admission {
    fn state(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>) -> Option<Permit> {
        let now = Instant::now();
        let mut state = self.state();
        let crowded = self.limits.crowd.is_some_and(|crowd| state.keeps_out(crowd, now));
        if crowded {
            state.kept_out = Some(now);
        }
        if state.count >= self.limits.most || crowded {
            self.refuse(&mut state, now);
            return None;
        }
        state.count += 1;
        self.inside.set(state.count as f64);
        Some(Permit(Arc::new(Place { admission: self.clone(), number: Mutex::default() })))
    }

    /// Not a line for each: there are many, and whoever writes them is short of time.
    fn refuse(&self, state: &mut Inside, now: Instant) {
        self.refused.increment(1);
        state.untold += 1;
        if state.told.is_none_or(|told| now - told > TELL_EVERY) {
            let (kind, refused, inside) = (self.kind, state.untold, state.count);
            tracing::warn!(
                kind,
                refused,
                inside,
                "more is asked than can be done; some is refused"
            );
            (state.untold, state.told) = (0, Some(now));
        }
    }
}

impl Inside {
    fn keeps_out(&self, Crowd { size, burst, delay }: Crowd, now: Instant) -> bool {
        let stands = self.crowded.is_some_and(|since| now - since > burst)
            || self.kept_out.is_some_and(|last| now - last < burst);
        let last = self.waiting.values().nth(size.saturating_sub(1));
        stands && last.is_some_and(|since| now - *since > delay)
    }

    /// How many wait has changed.
    fn count_crowd(&mut self, admission: &Admission) {
        admission.waiting.store(self.waiting.len(), Ordering::Relaxed);
        let crowd = admission.limits.crowd.is_some_and(|it| self.waiting.len() >= it.size);
        self.crowded = crowd.then(|| self.crowded.unwrap_or_else(Instant::now));
    }
}

impl Permit {
    /// The request is here as a whole: from now on it waits for us.
    pub(crate) fn wait(&self) {
        let mut number = self.0.number.lock().unwrap_or_else(PoisonError::into_inner);
        if number.is_none() {
            let mut state = self.0.admission.state();
            let next = state.next;
            state.next += 1;
            state.waiting.insert(next, Instant::now());
            state.count_crowd(&self.0.admission);
            *number = Some(next);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.count -= 1;
        self.admission.inside.set(state.count as f64);
        let number = self.number.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = number {
            state.waiting.remove(number);
            state.count_crowd(&self.admission);
        }
    }
}

async fn admit(
    State(admission): State<Arc<Admission>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(permit) = admission.enter() else {
        return Problem::unavailable("busy", RETRY_AFTER_S)
            .detail("More is asked for than can be done; nothing was done.")
            .in_a_rush()
            .into_response();
    };
    if request.body().is_end_stream() {
        permit.wait();
    }
    request.extensions_mut().insert(permit.clone());
    let response = next.run(request).await;
    drop(permit);
    response
}
