use crate::{FieldError, Problem};
use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// A request's query parameters.
#[derive(Debug)]
pub struct Params {
    params: BTreeMap<String, String>,
    address: Address,
}

/// What was asked for: a path and its parameters.
#[derive(Clone, Debug)]
pub struct Address {
    path: String,
    params: BTreeMap<String, String>,
}

impl Address {
    /// The same with another parameter in the place of some, as it stands in a link.
    pub fn with_instead(&self, of: &[&str], name: &str, value: &str) -> String {
        let others = self.params.iter().filter(|(name, _)| !of.contains(&name.as_str()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(others).append_pair(name, value);
        format!("{}?{}", self.path, query.finish())
    }
}

/// Query parameters that are taken out one by one, as [`crate::Fields`] takes the fields of a body; what a reader would
/// take can be asked for in the same way.
pub struct ParamFields<'a> {
    params: BTreeMap<String, String>,
    address: Address,
    errors: Vec<FieldError>,
    described: Option<(&'a mut SchemaGenerator, Vec<ParamDescription>)>,
}

/// A query parameter, told to those who send it.
#[derive(Clone, Debug)]
pub struct ParamDescription {
    pub name: String,
    pub required: bool,
    pub schema: Schema,
}

/// The parameters that a reader takes.
pub fn described_params<T>(
    generator: &mut SchemaGenerator,
    read: impl FnOnce(&mut ParamFields<'_>) -> Option<T>,
) -> Vec<ParamDescription> {
    let described = Some((generator, Vec::new()));
    let address = Address { path: String::new(), params: BTreeMap::new() };
    let mut fields =
        ParamFields { params: BTreeMap::new(), errors: Vec::new(), address, described };
    read(&mut fields);
    fields.described.map(|(_, params)| params).unwrap_or_default()
}

impl Params {
    /// Takes the parameters, or answers 400 with everything that is wrong with them. What nobody took
    /// is an unknown parameter.
    pub fn read<T>(
        self,
        read: impl FnOnce(&mut ParamFields<'_>) -> Option<T>,
    ) -> Result<T, Problem> {
        let Params { params, address } = self;
        let mut fields = ParamFields { params, address, errors: Vec::new(), described: None };
        let read = read(&mut fields);
        for (name, _) in std::mem::take(&mut fields.params) {
            fields.refuse(&name, "is not a parameter that is known here");
        }
        match read {
            Some(value) if fields.errors.is_empty() => Ok(value),
            Some(_) | None => Err(invalid(fields.errors)),
        }
    }
}

impl ParamFields<'_> {
    /// What was asked for, with everything that was taken.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A parameter that must be there.
    pub fn required<T: FromStr<Err: fmt::Display> + JsonSchema>(
        &mut self,
        name: &str,
    ) -> Option<T> {
        let value = self.optional(name);
        self.describe(name, |it| it.required = true);
        let value = value?;
        if value.is_none() {
            self.refuse(name, "is missing");
        }
        value
    }

    /// A parameter that may be absent.
    pub fn optional<T: FromStr<Err: fmt::Display> + JsonSchema>(
        &mut self,
        name: &str,
    ) -> Option<Option<T>> {
        if let Some((generator, described)) = &mut self.described {
            let schema = generator.subschema_for::<T>();
            described.push(ParamDescription { name: name.to_owned(), required: false, schema });
            return None;
        }
        let Some(text) = self.params.remove(name) else { return Some(None) };
        match text.parse() {
            Ok(value) if !text.contains('\0') => Some(Some(value)),
            Ok(_) => {
                self.refuse(name, "must not contain the character U+0000");
                None
            }
            Err(error) => {
                self.refuse(name, error.to_string());
                None
            }
        }
    }

    /// A parameter that may be absent, and is one of a few words.
    pub fn one_of(
        &mut self,
        name: &str,
        words: &'static [&'static str],
    ) -> Option<Option<&'static str>> {
        let asked = self.optional::<String>(name);
        self.describe(name, |it| it.schema = json_schema!({ "type": "string", "enum": words }));
        let Some(asked) = asked? else { return Some(None) };
        let known = words.iter().find(|word| **word == asked);
        if known.is_none() {
            self.refuse(name, format!("is one of: {}", words.join(", ")));
        }
        known.map(|word| Some(*word))
    }

    /// A parameter that must be there, and is one of a few words.
    pub fn required_one_of(
        &mut self,
        name: &str,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let word = self.one_of(name, words);
        self.describe(name, |it| it.required = true);
        if word == Some(None) {
            self.refuse(name, "is missing");
        }
        word?
    }

    fn describe(&mut self, name: &str, more: impl FnOnce(&mut ParamDescription)) {
        let described = self.described.as_mut().map(|(_, described)| described);
        let own = described.and_then(|all| all.iter_mut().find(|it| it.name == name));
        if let Some(own) = own {
            more(own);
        }
    }

    /// Notes that a parameter cannot be accepted, for a reason that its type does not know.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        let parameter = Some(name.chars().take(100).collect());
        self.errors.push(FieldError { detail: detail.into(), pointer: None, parameter });
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Problem::bad_request("invalid-parameters", error.body_text()))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            if params.insert(name.clone(), value).is_some() {
                let detail = "stands twice".to_owned();
                return Err(invalid(vec![FieldError {
                    detail,
                    pointer: None,
                    parameter: Some(name),
                }]));
            }
        }
        let address = Address { path: parts.uri.path().to_owned(), params: params.clone() };
        Ok(Params { params, address })
    }
}

fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem::bad_request(
        "invalid-parameters",
        "Some query parameters cannot be accepted; errors says which and why.",
    )
    .errors(errors)
}
