use crate::Problem;
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use std::{fmt, str::FromStr};

/// What a path names, in its one parameter: the `{sku}` of `/v1/stock/{sku}`.
#[derive(Clone, Copy, Debug)]
pub struct Target<T>(pub T);

impl<T: FromStr<Err: fmt::Display>, S: Send + Sync> FromRequestParts<S> for Target<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::bad_request("invalid-path", error.body_text()))?;
        let (name, text) = params
            .iter()
            .next()
            .ok_or_else(|| Problem::internal("a target was asked of a path without parameters"))?;
        text.parse().map(Target).map_err(|error: T::Err| {
            Problem::bad_request("invalid-path", format!("{name} in the path: {error}"))
        })
    }
}
