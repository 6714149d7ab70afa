use super::Quota;
use http::Method;
use std::{collections::BTreeMap, str::FromStr};

/// Quotas of single routes, each as its row is named, with how many requests come back each second and perhaps how many
/// there are at once: `POST /v1/orders=5:20, GET /v1/stock=0`. Of a route with 0 there may be any number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteQuotas(BTreeMap<String, Option<Quota>>);

#[derive(Debug, thiserror::Error)]
#[error("limits of routes are `POST /v1/orders=5` or `POST /v1/orders=5:20`, with commas between")]
pub struct NoRouteQuotas;

impl FromStr for RouteQuotas {
    type Err = NoRouteQuotas;

    fn from_str(text: &str) -> Result<Self, NoRouteQuotas> {
        let mut quotas = BTreeMap::new();
        for said in text.split(',') {
            let (route, numbers) = said.rsplit_once('=').ok_or(NoRouteQuotas)?;
            let (per_s, burst) = numbers.split_once(':').unwrap_or((numbers, "0"));
            let quota = Quota::of(number(per_s)?, number(burst)?);
            // Said twice, one of them would be in vain.
            if quotas.insert(route_of(route.trim())?, quota).is_some() {
                return Err(NoRouteQuotas);
            }
        }
        Ok(RouteQuotas(quotas))
    }
}

fn number(text: &str) -> Result<u32, NoRouteQuotas> {
    text.trim().parse().map_err(|_| NoRouteQuotas)
}

/// It becomes a name in a header.
fn route_of(text: &str) -> Result<String, NoRouteQuotas> {
    let (method, path) = text.split_once(' ').ok_or(NoRouteQuotas)?;
    let is_path = |c: char| c.is_ascii_graphic() && !"\"\\".contains(c);
    let is_route = method.parse::<Method>().is_ok() && path.starts_with('/');
    (is_route && path.chars().all(is_path)).then(|| text.to_owned()).ok_or(NoRouteQuotas)
}

impl RouteQuotas {
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Those of some routes alone.
    #[must_use]
    pub fn keeping(mut self, keeps: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|route, _| keeps(route));
        self
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&String, Option<Quota>)> {
        self.0.iter().map(|(route, quota)| (route, *quota))
    }
}
