//! Stripe's parameters: form-encoded names and values, `metadata[order]=…` for a map.

use std::collections::BTreeMap;

use super::fault::Fault;

/// Stripe takes amounts of up to eight digits.
const MOST: i64 = 99_999_999;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The same parameters in any order give the same text, so that a repeated request is known.
    pub(super) fn canonical(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    pub(super) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        let is_known = |name: &str| {
            known.contains(&name) || name.starts_with("metadata[") && name.ends_with(']')
        };
        let unknown = self.0.keys().find(|name| !is_known(name));
        match unknown {
            Some(name) => Err(Fault::parameter("parameter_unknown", name, "is unknown")),
            None => Ok(()),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Fault> {
        self.text(name).ok_or_else(|| Fault::parameter("parameter_missing", name, "is missing"))
    }

    /// An amount in the currency's minor units, above zero.
    pub(super) fn amount(&self, name: &str) -> Result<Option<i64>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let amount: i64 = text
            .parse()
            .map_err(|_| Fault::parameter("parameter_invalid_integer", name, "is no integer"))?;
        if amount < 1 {
            return Err(Fault::parameter("amount_too_small", name, "is below 1"));
        }
        if amount > MOST {
            return Err(Fault::parameter("amount_too_large", name, "has more than eight digits"));
        }
        Ok(Some(amount))
    }

    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let entry = |(name, value): (&String, &String)| {
            let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.clone()))
        };
        self.0.iter().filter_map(entry).collect()
    }
}
