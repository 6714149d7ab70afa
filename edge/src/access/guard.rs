//! What stands before an endpoint: it lets through whoever may, and refuses everybody else.

use super::{Identity, Permission, Scope};
use crate::Problem;
use axum::{
    extract::{RawPathParams, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(super) permission: Permission,
}

pub(crate) async fn pass(
    State(guard): State<Guard>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let identity = request.extensions().get::<Arc<Identity>>();
    match guard.permits(identity.map(|it| &**it), &params) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

impl Guard {
    fn permits(self, identity: Option<&Identity>, params: &RawPathParams) -> Result<(), Problem> {
        if self.permission == Permission::Open {
            return Ok(());
        }
        let identity = identity.ok_or_else(unknown)?;
        let needed = match self.permission {
            Permission::Open => return Ok(()),
            Permission::Scope(scope)
            | Permission::Own(scope, _)
            | Permission::Narrowed(scope, _) => Some(scope),
            Permission::Part { of, parameter } => {
                let part = params.iter().find(|(name, _)| *name == parameter);
                part.and_then(|(_, part)| Scope::within(of, part))
            }
        };
        if needed.is_some_and(|scope| identity.may(scope)) { Ok(()) } else { Err(forbidden()) }
    }
}

/// 401: nobody knows who asks.
fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated")
        .detail("Say who you are: send a token, `Authorization: Bearer …`.")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"daybook\""))
}

/// 403: it is known who asks, and he may not.
fn forbidden() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden").detail("You may not do this.")
}
