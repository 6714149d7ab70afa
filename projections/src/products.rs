//! What the shop sells, and the search for it: by the first letters of words in name and SKU.

use crate::query::{Amount, Asker, Filters, Page, Sorted, as_of, page, with_version};
use crate::{Layout, Place, Projection, projection};
use async_trait::async_trait;
use axum::response::Response;
use deadpool_postgres::Transaction;
use domain::catalogue::product::{self, Event};
use domain::values::{Money, ProductName, Sku};
use edge::{ParamFields, Params, Problem, Target};
use event_store::Recorded;
use event_store::follow::ApplyError;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_postgres::Row;

pub(crate) struct Products;

const LAYOUT: Layout = Layout {
    name: "products",
    version: 1,
    service: "catalogue",
    logs: &["catalogue"],
    tables: &["product"],
    key: ("product", "sku"),
    of_others: &[],
    create: include_str!("products/tables.sql"),
    index: include_str!("products/indexes.sql"),
};

/// What a batch says of one product.
#[derive(Default)]
struct Change {
    name: Option<ProductName>,
    price: Option<Money>,
    status: Option<&'static str>,
    version: i64,
}

impl Change {
    fn take(&mut self, event: Event, version: i64) {
        self.version = version;
        match event {
            Event::Listed { sku: _, name, price } => {
                self.name = Some(name);
                self.price = Some(price);
                self.status = Some("listed");
            }
            Event::Repriced { price } => self.price = Some(price),
            Event::Renamed { name } => self.name = Some(name),
            Event::Discontinued {} => self.status = Some("discontinued"),
        }
    }
}

#[async_trait]
impl Projection for Products {
    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        let mut changes = BTreeMap::<Sku, Change>::new();
        for recorded in batch {
            let sku = projection::target(recorded, product::id_of)?;
            changes.entry(sku).or_default().take(recorded.decode()?, recorded.version);
        }
        let changed = || changes.values();
        let searched = |(sku, change): (&Sku, &Change)| {
            let name = change.name.as_ref()?;
            Some(words(&format!("{name} {sku}")).join(" "))
        };
        let sql = include_str!("products/post.sql");
        place
            .execute(
                tx,
                sql,
                &[
                    &changes.keys().map(Sku::as_str).collect::<Vec<_>>(),
                    &changed()
                        .map(|it| it.name.as_ref().map(ProductName::as_str))
                        .collect::<Vec<_>>(),
                    &changed().map(|it| it.price.map(Money::amount)).collect::<Vec<_>>(),
                    &changed()
                        .map(|it| it.price.map(|it| it.currency().as_str()))
                        .collect::<Vec<_>>(),
                    &changed().map(|it| it.status).collect::<Vec<_>>(),
                    &changes.iter().map(searched).collect::<Vec<_>>(),
                    &changed().map(|it| it.version).collect::<Vec<_>>(),
                ],
            )
            .await?;
        Ok(())
    }
}

/// The words of a text, in lower case. Split here and not by Postgres, so that every database splits alike.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<BTreeSet<_>>().into_iter().collect()
}

/// `'white':* & 'hear':*`. Words hold letters and digits alone, so nothing in them needs to be escaped.
fn search(text: &str) -> Option<String> {
    let terms: Vec<_> = words(text).iter().map(|word| format!("'{word}':*")).collect();
    (!terms.is_empty()).then(|| terms.join(" & "))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Product")]
pub(crate) struct ProductView {
    sku: String,
    name: String,
    price: Amount,
    status: String,
    version: i64,
}

impl ProductView {
    fn of(row: &Row) -> Self {
        ProductView {
            sku: row.get("sku"),
            name: row.get("name"),
            price: Amount { amount: row.get("price"), currency: row.get("currency") },
            status: row.get("status"),
            version: row.get("version"),
        }
    }
}

/// Longer searches are refused.
const SEARCH_CHARS: usize = 200;

type Asked = (Option<String>, Page<String>);

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<Asked> {
    let asked = fields.optional::<String>("search");
    let search = match asked.as_ref().and_then(Option::as_deref) {
        Some(text) if text.chars().count() > SEARCH_CHARS => {
            fields.refuse("search", format!("has more than {SEARCH_CHARS} characters"));
            None
        }
        Some(text) => search(text).map(Some).or_else(|| {
            fields.refuse("search", "has no letter and no digit");
            None
        }),
        None => Some(None),
    };
    let page = page(fields);
    asked?;
    Some((search?, page?))
}

/// `GET /v1/products`: by SKU. `search` finds those that have a word for each of its words.
pub(crate) async fn list(asker: Asker, params: Params) -> Result<Response, Problem> {
    let (search, page) = params.read(asked)?;
    let mut filters = Filters::default();
    filters.and("words @@ ?::text::tsquery", &search);
    filters.from(&page, &Sorted::Up("sku"));
    let view = asker.view(&LAYOUT).await?;
    let rows = view.list(include_str!("products/list.sql"), &filters, page.limit).await?;
    Ok(page.items(rows.iter().map(ProductView::of).collect(), |product| product.sku.clone()))
}

/// `GET /v1/products/{sku}`
pub(crate) async fn find(
    asker: Asker,
    Target(sku): Target<Sku>,
    params: Params,
) -> Result<Response, Problem> {
    let as_of = params.read(as_of)?;
    let sql = include_str!("products/list.sql");
    let only = Some(sku.as_str());
    let mut filters = Filters::default();
    filters.and("sku = ?", &only);
    let answer = |row: Option<&Row>| {
        let none = || Problem::not_found(format!("There is no product {sku}."));
        let product = ProductView::of(row.ok_or_else(none)?);
        Ok::<_, Problem>(with_version(product.version, product))
    };
    let streams = [("catalogue", product::stream(&sku))];
    asker.one(&Products, (&streams, as_of), (sql, &filters), answer).await
}

#[cfg(test)]
mod tests {
    use super::{search, words};

    #[test]
    fn words_are_letters_and_digits_in_lower_case_each_once() {
        assert_eq!(
            words("CREAM Cupid HEARTS, cream-coat ÉTÉ 84406B"),
            ["84406b", "coat", "cream", "cupid", "hearts", "été"]
        );
    }

    #[test]
    fn nothing_in_a_search_is_an_operator() {
        assert_eq!(search("a' | !b:*").unwrap(), "'a':* & 'b':*");
        assert_eq!(search("-- & \\"), None);
    }
}
