//! What stands before an endpoint: it lets through whoever may, and refuses everybody else.

use super::identify::{CameFrom, Unknown};
use super::{Identity, Owners, Permission, Scope, Why};
use crate::{Problem, RequestContext};
use axum::{
    extract::{FromRequestParts, RawPathParams, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use std::{convert::Infallible, sync::Arc, time::Duration};

#[derive(Clone)]
pub(crate) struct Guard {
    pub(super) permission: Permission,
    pub(super) owners: Option<Arc<dyn Owners>>,
}

/// The customer to whose things a request is narrowed; none if it is not.
#[derive(Clone, Debug)]
pub struct OnlyOf(pub Option<Arc<str>>);

impl<S: Send + Sync> FromRequestParts<S> for OnlyOf {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Only a guard narrows; where there is none, nobody is told apart.
        Ok(parts.extensions.get::<OnlyOf>().cloned().unwrap_or(OnlyOf(None)))
    }
}

/// What a caller is let through to.
enum Verdict {
    /// Everything.
    Whole,
    /// What this customer has.
    Only(Arc<str>),
    /// The thing in the path, if it is this customer's.
    IfHis(Arc<str>),
}

pub(crate) async fn pass(
    State(guard): State<Guard>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let verdict = match guard.permits(&request, &params) {
        Ok(verdict) => verdict,
        Err(problem) => return refused(&request, problem),
    };
    let only = match verdict {
        Verdict::Whole => None,
        Verdict::Only(customer) => Some(customer),
        Verdict::IfHis(customer) => match guard.is_his(&customer, &params).await {
            Ok(()) => Some(customer),
            Err(problem) => return refused(&request, problem),
        },
    };
    if only.is_some() {
        request.extensions_mut().insert(OnlyOf(only));
    }
    next.run(request).await
}

/// Says who was refused what, to those who look into it afterwards. Nothing of it is told to him.
fn refused(request: &Request, problem: Problem) -> Response {
    let (extensions, path) = (request.extensions(), request.uri().path());
    let subject = extensions.get::<Arc<Identity>>().map_or("nobody known", |it| &*it.subject);
    let address = extensions.get::<CameFrom>().and_then(|from| from.0);
    let address = address.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
    let correlation = extensions.get::<RequestContext>().map(|it| &*it.correlation);
    let why = problem.cause();
    // Of those who guess there may be any number: that they began is told once, by what makes them wait.
    if problem.is_in_a_rush() {
        tracing::debug!(target: "request", subject, address, path, why, correlation, "refused");
    } else {
        tracing::info!(target: "request", subject, address, path, why, correlation, "refused");
    }
    problem.into_response()
}

impl Guard {
    fn permits(&self, request: &Request, params: &RawPathParams) -> Result<Verdict, Problem> {
        if self.permission == Permission::Open {
            return Ok(Verdict::Whole);
        }
        let identity = request.extensions().get::<Arc<Identity>>();
        let identity = identity.ok_or_else(|| {
            let unknown = request.extensions().get::<Unknown>().copied();
            unknown_caller(unknown.unwrap_or(Unknown { why: Why::NoToken, waits: None }))
        })?;
        let customer = |own: Scope| identity.customer.clone().filter(|_| identity.may(own));
        let verdict = match self.permission {
            Permission::Open | Permission::Known => Some(Verdict::Whole),
            Permission::Scope(scope) => identity.may(scope).then_some(Verdict::Whole),
            Permission::Own(scope, _) | Permission::Narrowed(scope, _) if identity.may(scope) => {
                Some(Verdict::Whole)
            }
            Permission::Own(_, own) => customer(own).map(Verdict::IfHis),
            Permission::Narrowed(_, own) => customer(own).map(Verdict::Only),
            Permission::Part { of, parameter } => {
                let part = params.iter().find(|(name, _)| *name == parameter);
                let scope = part.and_then(|(_, part)| Scope::within(of, part));
                scope.is_some_and(|scope| identity.may(scope)).then_some(Verdict::Whole)
            }
        };
        verdict.ok_or_else(forbidden)
    }

    /// What is another's is answered as what is not there.
    async fn is_his(&self, customer: &str, params: &RawPathParams) -> Result<(), Problem> {
        let owners = self.owners.as_ref().ok_or_else(|| Problem::internal("no owners here"))?;
        let (_, id) = params.iter().next().unwrap_or_default();
        let owner = owners.owner(id).await?;
        if owner.as_deref() == Some(customer) {
            return Ok(());
        }
        Why::NotHis.count();
        Err(Problem::not_found("There is nothing of yours here.").caused_by(Why::NotHis))
    }
}

/// 401: nobody knows who asks. Of a credential that is wrong it is not said why.
pub(super) fn unknown_caller(unknown: Unknown) -> Problem {
    let why = unknown.why;
    why.count();
    let challenge = |text| (header::WWW_AUTHENTICATE, HeaderValue::from_static(text));
    let problem = match (why, unknown.waits) {
        (Why::Throttled, waits) => return throttled(waits.unwrap_or_default()),
        (Why::IssuerAway, _) => {
            return Problem::unavailable("issuer-away", 5)
                .detail("Who issued this token cannot be asked just now.")
                .caused_by(why);
        }
        (Why::NoToken, _) => {
            let (name, value) = challenge("Bearer realm=\"daybook\"");
            Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated")
                .detail("Say who you are: send a token, `Authorization: Bearer …`.")
                .header(name, value)
        }
        _ => {
            let (name, value) = challenge("Bearer realm=\"daybook\", error=\"invalid_token\"");
            Problem::new(StatusCode::UNAUTHORIZED, "invalid-token")
                .detail("This token is not accepted.")
                .header(name, value)
        }
    };
    problem.caused_by(why)
}

fn throttled(waits: Duration) -> Problem {
    let seconds = u32::try_from(waits.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures")
        .detail("Too many wrong tokens came from your address.")
        .header(header::RETRY_AFTER, HeaderValue::from(seconds))
        .caused_by(Why::Throttled)
        .in_a_rush()
}

/// 403: it is known who asks, and he may not.
pub(super) fn forbidden() -> Problem {
    Why::Forbidden.count();
    let challenge = "Bearer realm=\"daybook\", error=\"insufficient_scope\"";
    Problem::new(StatusCode::FORBIDDEN, "forbidden")
        .detail("You may not do this.")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        .caused_by(Why::Forbidden)
}
