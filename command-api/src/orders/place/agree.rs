use super::draft::{Draft, DraftLine};
use crate::{
    CommandApi,
    api::served,
    prices::{Price, PricesUnavailable},
    refusal::RETRY_AFTER_S,
};
use domain::values::{Money, Sku};
use edge::{FieldError, Problem};
use event_store::Position;
use http::StatusCode;
use std::sync::Arc;

/// The unit price of every line, as the price list has it. A history comes with its own prices, and what
/// it does not say is looked up.
pub(super) async fn agree(
    api: &CommandApi,
    draft: &Draft,
    own_prices: bool,
    min: &[Position],
) -> Result<Vec<Money>, Problem> {
    if let Ok(prices) = check(api, draft, own_prices, min).await? {
        return Ok(prices);
    }
    served(&api.prices)?.catch_up(api.settings.min_position_wait).await?;
    check(api, draft, own_prices, min).await?.map_err(Disagreements::problem)
}

/// The prices by the list as it is just now, or what is wrong by it.
async fn check(
    api: &CommandApi,
    draft: &Draft,
    own_prices: bool,
    min: &[Position],
) -> Result<Result<Vec<Money>, Disagreements>, Problem> {
    let own = |line: &DraftLine| line.unit_price.filter(|_| own_prices);
    let unknown: Vec<_> = draft.lines.iter().filter(|line| own(line).is_none()).collect();
    let list = if unknown.is_empty() {
        Arc::default()
    } else {
        let skus: Vec<_> = unknown.iter().map(|line| line.sku.as_str()).collect();
        served(&api.prices)?.lookup(&skus, min, api.settings.min_position_wait).await?
    };
    let mut disagreements = Disagreements::default();
    let prices = draft.lines.iter().enumerate().map(|(index, line)| match own(line) {
        Some(price) => Some(price),
        None => disagreements.check(index, line, list.get(&line.sku)),
    });
    let prices = prices.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>();
    Ok(prices.ok_or(disagreements))
}

/// What is wrong with the lines, kind by kind.
#[derive(Default)]
struct Disagreements {
    unknown: Vec<FieldError>,
    discontinued: Vec<FieldError>,
    changed: Vec<FieldError>,
}

impl Disagreements {
    fn check(&mut self, index: usize, line: &DraftLine, price: Option<&Price>) -> Option<Money> {
        let error = |field: &str, detail: String| FieldError {
            detail,
            pointer: Some(format!("/lines/{index}/{field}")),
            parameter: None,
        };
        let sku: &Sku = &line.sku;
        match (price, line.unit_price) {
            (None, _) => self.unknown.push(error("sku", format!("no product {sku} is listed"))),
            (Some(Price { discontinued: true, .. }), _) => {
                self.discontinued.push(error("sku", format!("{sku} is no longer sold")));
            }
            (Some(price), Some(shown)) if shown != price.amount => {
                let detail = format!("the price is {}", price.amount);
                self.changed.push(error("unit_price", detail));
            }
            (Some(price), _) => return Some(price.amount),
        }
        None
    }

    /// The kind that trying again helps least comes first.
    fn problem(self) -> Problem {
        let (status, slug, errors) = if !self.unknown.is_empty() {
            (StatusCode::UNPROCESSABLE_ENTITY, "unknown-sku", self.unknown)
        } else if !self.discontinued.is_empty() {
            (StatusCode::CONFLICT, "discontinued", self.discontinued)
        } else {
            (StatusCode::CONFLICT, "price-changed", self.changed)
        };
        Problem::new(status, slug)
            .detail("Some lines cannot be ordered like this; errors says which and why.")
            .errors(errors)
    }
}

impl From<PricesUnavailable> for Problem {
    fn from(unavailable: PricesUnavailable) -> Problem {
        let problem = Problem::unavailable("prices-unavailable", RETRY_AFTER_S);
        let problem = problem.caused_by(unavailable.cause());
        match unavailable {
            PricesUnavailable::Starting => {
                problem.detail("The price list is still being read from the catalogue.")
            }
            PricesUnavailable::Behind => {
                problem.detail("The price list is behind the catalogue; it is catching up.")
            }
            PricesUnavailable::Database(_) => problem,
        }
    }
}
