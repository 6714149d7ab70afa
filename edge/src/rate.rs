//! How much one caller may ask for in a while.

use crate::{
    Identity, Problem,
    caller::{Proxies, as_caller},
};
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use governor::{
    RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use quick_cache::sync::Cache;
use std::{
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How many requests of one class a caller has at once, and how many come back to him each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub per_s: NonZeroU32,
    pub burst: NonZeroU32,
}

impl Quota {
    /// None, if nothing comes back; a burst of nothing is what comes back in a second.
    pub fn of(per_s: u32, burst: u32) -> Option<Self> {
        let per_s = NonZeroU32::new(per_s)?;
        Some(Quota { per_s, burst: NonZeroU32::new(burst).unwrap_or(per_s) })
    }
}

/// The limit of one class of requests. Clones share it, and it may be set to another quota at any time; by default
/// there is none, and nothing is counted.
#[derive(Clone)]
pub struct RateLimit(Arc<Inner>);

struct Inner {
    class: &'static str,
    proxies: Proxies,
    /// So many callers are known; past that, who has not asked for long is forgotten and begins anew.
    known: usize,
    on: AtomicBool,
    rule: RwLock<Option<Arc<Rule>>>,
    refused: metrics::Counter,
    callers: metrics::Gauge,
}

/// One quota, and what its callers have left of it.
struct Rule {
    quota: Quota,
    class: String,
    policy: HeaderValue,
    left: Cache<Caller, Arc<Bucket>>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>;

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = self.rule().map(|rule| rule.quota);
        f.debug_struct("RateLimit").field("class", &self.0.class).field("quota", &quota).finish()
    }
}

impl RateLimit {
    /// `class` names it in metrics and in answers.
    pub fn new(class: &'static str, proxies: Proxies, known: usize) -> Self {
        let refused = metrics::counter!("daybook_rate_limited_total", "class" => class);
        refused.increment(0);
        let callers = metrics::gauge!("daybook_rate_callers", "class" => class);
        callers.set(0);
        let (on, rule) = (AtomicBool::new(false), RwLock::default());
        RateLimit(Arc::new(Inner { class, proxies, known, on, rule, refused, callers }))
    }

    /// From now on this much; everybody begins with a whole burst, unless it is what it was.
    pub fn set(&self, quota: Option<Quota>) {
        let mut rule = self.0.rule.write().unwrap_or_else(PoisonError::into_inner);
        if rule.as_ref().map(|rule| rule.quota) != quota {
            let new = quota.map(|quota| Arc::new(Rule::new(self.0.class, quota, self.0.known)));
            *rule = new;
            self.0.on.store(rule.is_some(), Ordering::Relaxed);
        }
    }

    /// Puts it around endpoints.
    pub fn around(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), count))
    }

    fn rule(&self) -> Option<Arc<Rule>> {
        if !self.0.on.load(Ordering::Relaxed) {
            return None;
        }
        self.0.rule.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is left to whoever asks, or after how many seconds there will be something. None: nobody knows who it is,
    /// as where there is no connection.
    fn take(&self, rule: &Rule, request: &Parts) -> Option<Result<u32, u64>> {
        let caller = Caller::of(request, &self.0.proxies)?;
        let bucket = rule.left.get(&caller).unwrap_or_else(|| {
            let quota = governor::Quota::per_second(rule.quota.per_s).allow_burst(rule.quota.burst);
            let bucket =
                Arc::new(RateLimiter::direct_with_clock(quota, MonotonicClock).with_middleware());
            rule.left.insert(caller, bucket.clone());
            self.0.callers.set(rule.left.len() as f64);
            bucket
        });
        Some(match bucket.check() {
            Ok(left) => Ok(left.remaining_burst_capacity()),
            Err(wait) => Err(whole_seconds(wait.wait_time_from(MonotonicClock.now()))),
        })
    }
}

/// Waiting for less would be in vain.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Whoever is counted as one.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Caller {
    Subject(Arc<str>),
    Address(IpAddr),
}

impl Caller {
    fn of(request: &Parts, proxies: &Proxies) -> Option<Self> {
        if let Some(identity) = request.extensions.get::<Arc<Identity>>() {
            return Some(Caller::Subject(identity.subject.clone()));
        }
        proxies.address(request).map(as_caller).map(Caller::Address)
    }
}

impl Rule {
    fn new(class: &str, quota: Quota, known: usize) -> Self {
        let Quota { per_s, burst } = quota;
        let window_s = burst.get().div_ceil(per_s.get());
        let policy = HeaderValue::try_from(format!("\"{class}\";q={burst};w={window_s}"));
        let policy = policy.expect("a class is a word");
        Rule { quota, policy, class: class.to_owned(), left: Cache::new(known) }
    }

    /// Says in an answer what is left, and until when all of it will have come back
    /// (draft-ietf-httpapi-ratelimit-headers-10).
    fn say(&self, headers: &mut HeaderMap, left: u32) {
        let Quota { per_s, burst } = self.quota;
        let whole_s = burst.get().saturating_sub(left).div_ceil(per_s.get());
        let state = format!("\"{}\";r={left};t={whole_s}", self.class);
        if let Ok(state) = HeaderValue::try_from(state) {
            headers.insert(STATE, state);
        }
        headers.insert(POLICY, self.policy.clone());
    }
}

const STATE: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

async fn count(State(limit): State<RateLimit>, request: Request, next: Next) -> Response {
    let Some(rule) = limit.rule() else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let taken = limit.take(&rule, &parts);
    let request = Request::from_parts(parts, body);
    match taken {
        None => next.run(request).await,
        Some(Ok(left)) => {
            let mut response = next.run(request).await;
            rule.say(response.headers_mut(), left);
            response
        }
        Some(Err(after_s)) => {
            limit.0.refused.increment(1);
            refused(&rule, after_s).into_response()
        }
    }
}

fn refused(rule: &Rule, after_s: u64) -> Problem {
    let mut said = HeaderMap::new();
    rule.say(&mut said, 0);
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests")
        .detail("You ask for more than you may in so short a time; nothing was done.")
        .header(header::RETRY_AFTER, HeaderValue::from(after_s))
        .in_a_rush();
    said.into_iter().fold(problem, |problem, (name, value)| match name {
        Some(name) => problem.header(name, value),
        None => problem,
    })
}
