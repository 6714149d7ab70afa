//! How much one caller may ask for in a while.

mod by_route;

pub use by_route::{NoRouteQuotas, RouteQuotas};

use crate::{
    Identity, Problem, Scope,
    caller::{Proxies, as_caller},
};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use governor::{
    RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use quick_cache::sync::Cache;
use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
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

/// The limit of one class of requests, and limits of its own for some of their routes. Clones share it, and it may be set
/// to other quotas at any time; by default there is none, and nothing is counted.
#[derive(Clone)]
pub struct RateLimit(Arc<Inner>);

struct Inner {
    class: &'static str,
    proxies: Proxies,
    /// So many callers are known to each rule; past that, who has not asked for long is forgotten and begins anew.
    known: usize,
    on: AtomicBool,
    rules: RwLock<Rules>,
    refused: metrics::Counter,
    callers: metrics::Gauge,
}

/// What is in force. A route that stands here is not of its class any more: it has a rule of its own, or none.
#[derive(Default)]
struct Rules {
    of_class: Option<Arc<Rule>>,
    of_routes: BTreeMap<String, Option<Arc<Rule>>>,
}

/// One quota, and what its callers have left of it.
struct Rule {
    quota: Quota,
    /// The class, or the route.
    name: String,
    policy: HeaderValue,
    left: Cache<Caller, Arc<Bucket>>,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>;

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = self.rules().of_class.as_ref().map(|rule| rule.quota);
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
        let (on, rules) = (AtomicBool::new(false), RwLock::default());
        RateLimit(Arc::new(Inner { class, proxies, known, on, rules, refused, callers }))
    }

    /// From now on this much; everybody begins with a whole burst, unless it is what it was.
    pub fn set(&self, quota: Option<Quota>) {
        self.change(|rules| {
            rules.of_class = self.renewed(rules.of_class.take(), self.0.class, quota);
        });
    }

    /// The same for these routes, each by itself; all others are of the class.
    pub fn set_routes(&self, quotas: &RouteQuotas) {
        self.change(|rules| {
            let mut old = std::mem::take(&mut rules.of_routes);
            let new = quotas.all().map(|(route, quota)| {
                let rule = self.renewed(old.remove(route).flatten(), route, quota);
                (route.clone(), rule)
            });
            rules.of_routes = new.collect();
        });
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = self.0.rules.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut rules);
        self.0.on.store(rules.all().next().is_some(), Ordering::Relaxed);
    }

    fn renewed(&self, old: Option<Arc<Rule>>, name: &str, to: Option<Quota>) -> Option<Arc<Rule>> {
        let same = old.filter(|rule| Some(rule.quota) == to);
        same.or_else(|| to.map(|quota| Arc::new(Rule::new(name, quota, self.0.known))))
    }

    /// Puts it around endpoints.
    pub fn around(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), count))
    }

    fn rules(&self) -> RwLockReadGuard<'_, Rules> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rule(&self, request: &Request) -> Option<Arc<Rule>> {
        if !self.0.on.load(Ordering::Relaxed) {
            return None;
        }
        self.rules().of(request)
    }

    /// What is left to whoever asks, or after how many seconds there will be something. None: he is not counted.
    fn take(&self, rule: &Rule, request: &Parts) -> Option<Result<u32, u64>> {
        let caller = Caller::of(request, &self.0.proxies)?;
        let bucket = rule.left.get(&caller).unwrap_or_else(|| {
            let quota = governor::Quota::per_second(rule.quota.per_s).allow_burst(rule.quota.burst);
            let bucket =
                Arc::new(RateLimiter::direct_with_clock(quota, MonotonicClock).with_middleware());
            rule.left.insert(caller, bucket.clone());
            let known: usize = self.rules().all().map(|rule| rule.left.len()).sum();
            self.0.callers.set(known as f64);
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
    /// None if nobody knows who it is, as where there is no connection; and of a service of ours, which asks for what is
    /// owed already: whoever comes with something new does not keep it out.
    fn of(request: &Parts, proxies: &Proxies) -> Option<Self> {
        if let Some(identity) = request.extensions.get::<Arc<Identity>>() {
            let is_of_ours = identity.may(Scope::COMMANDS_SEND);
            return (!is_of_ours).then(|| Caller::Subject(identity.subject.clone()));
        }
        proxies.address(request).map(as_caller).map(Caller::Address)
    }
}

impl Rules {
    fn of(&self, request: &Request) -> Option<Arc<Rule>> {
        let own = if self.of_routes.is_empty() { None } else { self.of_route(request) };
        own.unwrap_or(&self.of_class).clone()
    }

    fn of_route(&self, request: &Request) -> Option<&Option<Arc<Rule>>> {
        // `HEAD` is answered by the row of `GET`.
        let is_head = request.method() == Method::HEAD;
        let method = if is_head { &Method::GET } else { request.method() };
        let path = request.extensions().get::<MatchedPath>()?;
        self.of_routes.get(&crate::routes::name(method, path.as_str()))
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.of_class.iter().chain(self.of_routes.values().flatten())
    }
}

impl Rule {
    fn new(name: &str, quota: Quota, known: usize) -> Self {
        let Quota { per_s, burst } = quota;
        let window_s = burst.get().div_ceil(per_s.get());
        let policy = HeaderValue::try_from(format!("\"{name}\";q={burst};w={window_s}"));
        let policy = policy.expect("a class is a word, and a route was read as one");
        Rule { quota, policy, name: name.to_owned(), left: Cache::new(known) }
    }

    /// Says in an answer what is left, and until when all of it will have come back
    /// (draft-ietf-httpapi-ratelimit-headers-10).
    fn say(&self, headers: &mut HeaderMap, left: u32) {
        let Quota { per_s, burst } = self.quota;
        let whole_s = burst.get().saturating_sub(left).div_ceil(per_s.get());
        let state = format!("\"{}\";r={left};t={whole_s}", self.name);
        if let Ok(state) = HeaderValue::try_from(state) {
            headers.insert(STATE, state);
        }
        headers.insert(POLICY, self.policy.clone());
    }
}

const STATE: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

async fn count(State(limit): State<RateLimit>, request: Request, next: Next) -> Response {
    let Some(rule) = limit.rule(&request) else { return next.run(request).await };
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
