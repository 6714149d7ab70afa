use crate::amounts::money;
use domain::{
    ids::OrderId,
    orders::order::{Command, Line},
    values::{Country, CustomerRef, Money, PaymentMethod, Quantity, Sku, TaxRate},
};
use edge::{Fields, Problem};
use http::StatusCode;

/// An order as its customer sends it: prices are yet to be agreed.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) lines: Vec<DraftLine>,
    shipping: Option<Money>,
    discount: Option<Money>,
    customer: Option<CustomerRef>,
    country: Country,
    payment_method: PaymentMethod,
}

#[derive(Debug)]
pub(super) struct DraftLine {
    pub(super) sku: Sku,
    quantity: Quantity,
    /// The price that the customer was shown.
    pub(super) unit_price: Option<Money>,
    tax_rate: Option<TaxRate>,
}

impl Draft {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let lines = fields.list("lines", DraftLine::read);
        let shipping = fields.optional_object("shipping", money);
        let discount = fields.optional_object("discount", money);
        let (customer, country) = (fields.optional("customer"), fields.required("country"));
        let payment_method = fields.required("payment_method");
        Some(Draft {
            lines: lines?,
            shipping: shipping?,
            discount: discount?,
            customer: customer?,
            country: country?,
            payment_method: payment_method?,
        })
    }

    /// The order of this customer. Who orders for himself need not say who he is, and cannot order for another, nor say
    /// what it costs: without prices of its own an order costs what its products do.
    pub(super) fn of(self, customer: &str) -> Result<Self, Problem> {
        let own: CustomerRef = customer.parse().map_err(|_| not_yours("his own cannot be one"))?;
        if self.customer.as_ref().is_some_and(|named| *named != own) {
            return Err(not_yours("another's"));
        }
        let named = [
            (self.discount.is_some(), "discount"),
            (self.shipping.is_some(), "shipping"),
            (self.lines.iter().any(|line| line.tax_rate.is_some()), "tax_rate"),
        ];
        if let Some((_, what)) = named.into_iter().find(|(is_said, _)| *is_said) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "not-yours-to-say")
                .detail(format!("What an order costs is the shop's to say: leave `{what}` out."))
                .caused_by(format!("a customer's own {what}")));
        }
        Ok(Draft { customer: Some(own), ..self })
    }

    pub(super) fn agreed(self, order: OrderId, unit_prices: Vec<Money>) -> Command {
        let lines = self.lines.into_iter().zip(unit_prices).map(|(line, unit_price)| Line {
            sku: line.sku,
            quantity: line.quantity,
            unit_price,
            tax_rate: line.tax_rate.unwrap_or_default(),
        });
        Command::Place {
            order,
            lines: lines.collect(),
            shipping: self.shipping,
            discount: self.discount,
            customer: self.customer,
            country: self.country,
            payment_method: self.payment_method,
        }
    }
}

fn not_yours(why: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "not-your-reference")
        .detail("You can order for yourself alone: leave `customer` out.")
        .caused_by(format!("a customer's reference: {why}"))
}

impl DraftLine {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (sku, quantity) = (fields.required("sku"), fields.required("quantity"));
        let unit_price = fields.optional_object("unit_price", money);
        let tax_rate = fields.optional("tax_rate");
        Some(DraftLine {
            sku: sku?,
            quantity: quantity?,
            unit_price: unit_price?,
            tax_rate: tax_rate?,
        })
    }
}
