//! An endpoint, told to those who call it. What it reads and answers is described by its own readers and types.

use crate::{Fields, ParamDescription, ParamFields, described, described_params};
use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};

type Described<T> = Box<dyn Fn(&mut SchemaGenerator) -> T + Send + Sync>;

/// An operation of OpenAPI, and what it is made of.
pub struct Operation {
    pub method: Method,
    /// As it is routed: `/v1/orders/{id}`.
    pub path: &'static str,
    /// `placeOrder`
    pub id: &'static str,
    /// What it does, as a sentence.
    pub summary: &'static str,
    /// Headers of the request that mean something here.
    pub headers: Vec<&'static str>,
    pub answers: Vec<Answer>,
    /// The slugs of the problems that are its own.
    pub problems: Vec<&'static str>,
    /// Of its body.
    pub takes: &'static str,
    body: Option<Described<Schema>>,
    params: Option<Described<Vec<ParamDescription>>>,
}

/// A way in which an operation succeeds.
pub struct Answer {
    pub status: StatusCode,
    pub media_type: &'static str,
    pub headers: Vec<&'static str>,
    schema: Described<Schema>,
}

impl Operation {
    pub fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Operation {
            method,
            path,
            id,
            summary,
            headers: Vec::new(),
            answers: Vec::new(),
            problems: Vec::new(),
            takes: "application/json",
            body: None,
            params: None,
        }
    }

    /// Its body, by its reader.
    pub fn reads<T>(
        mut self,
        read: impl Fn(&mut Fields<'_>) -> Option<T> + Copy + Send + Sync + 'static,
    ) -> Self {
        self.body = Some(Box::new(move |generator| described(generator, read)));
        self
    }

    /// A body of another kind than JSON.
    pub fn reads_text(mut self, media_type: &'static str) -> Self {
        self.takes = media_type;
        self.body = Some(Box::new(|generator| generator.subschema_for::<String>()));
        self
    }

    /// Its query parameters, by their reader.
    pub fn asks<T>(
        mut self,
        read: impl Fn(&mut ParamFields<'_>) -> Option<T> + Copy + Send + Sync + 'static,
    ) -> Self {
        self.params = Some(Box::new(move |generator| described_params(generator, read)));
        self
    }

    pub fn heeds(mut self, headers: &[&'static str]) -> Self {
        self.headers.extend(headers);
        self
    }

    /// JSON of this type, with these headers.
    pub fn answers<T: JsonSchema>(self, status: StatusCode, headers: &[&'static str]) -> Self {
        self.answers_as::<T>(status, "application/json", headers)
    }

    pub fn answers_as<T: JsonSchema>(
        mut self,
        status: StatusCode,
        media_type: &'static str,
        headers: &[&'static str],
    ) -> Self {
        let schema: Described<Schema> = Box::new(|generator| generator.subschema_for::<T>());
        self.answers.push(Answer { status, media_type, headers: headers.to_vec(), schema });
        self
    }

    pub fn refuses(mut self, slugs: &[&'static str]) -> Self {
        self.problems.extend(slugs);
        self
    }

    pub fn body(&self, generator: &mut SchemaGenerator) -> Option<Schema> {
        self.body.as_ref().map(|body| body(generator))
    }

    pub fn params(&self, generator: &mut SchemaGenerator) -> Vec<ParamDescription> {
        self.params.as_ref().map(|params| params(generator)).unwrap_or_default()
    }
}

impl Answer {
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}
