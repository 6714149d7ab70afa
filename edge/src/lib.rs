//! What every HTTP service of Daybook shares: the clock and the ids, problems, bodies and parameters
//! that are read field by field, limits, the request log, health, metrics and an orderly end.
//!
//! An endpoint stands in a table of [`Routes`] with who may take it. It takes a [`JsonBody`] or [`Params`], reads what
//! it needs with [`Fields`], and answers a response or a [`Problem`]. [`layered`] puts the rest around the finished router, and [`run`] serves it.

pub mod access;
pub mod clock;
pub mod ids;
pub mod conditional;
pub mod health;
pub mod metrics;
pub mod telemetry;
pub mod tls;
mod breaker;
mod deadline;
mod peer;
mod places;
mod problem;
mod strict_json;
mod fields;
mod json_body;
mod params;
mod operation;
mod target;
mod idempotency_key;
mod request_context;
mod request_log;
mod finish;
mod cors;
mod revalidation;
mod compression;
mod limits;
mod routes;
mod admission;
mod caller;
mod rate;
mod leftover;
mod layers;
mod serve;
mod this_machine;

pub use access::{Access, Identity, OnlyOf, Permission, Role, Scope};
pub use admission::{AdmissionLimits, Crowd, admitted};
pub use breaker::{Breaker, BreakerSettings, Permit};
pub use caller::{NoProxies, Proxies};
pub use cors::{NoOrigins, Origins};
pub use deadline::{DEADLINE, Deadline};
pub use fields::{Fields, described};
pub use health::{Component, Health};
pub use idempotency_key::IdempotencyKey;
pub use json_body::JsonBody;
pub use layers::{layered, layered_for, queried};
pub use limits::Limits;
pub use operation::{Answer, Operation};
pub use params::{Address, ParamDescription, ParamFields, Params, described_params};
pub use peer::{Answered, BadAddress, Lines, Peer, PeerLimits, Shown, Unanswered};
pub use places::{Place, Places};
pub use problem::{FieldError, PROBLEM_JSON, PROBLEM_URN, Problem};
pub use rate::{NoRouteQuotas, Quota, RateLimit, RouteQuotas};
pub use request_context::{CORRELATION_ID, RequestContext};
pub use routes::{Routes, Row};
pub use serve::{Door, Serving, Unfinished, run};
pub use target::Target;
pub use this_machine::for_this_machine;
