//! Stripe's minor units, which are those of ISO 4217 but for three currencies.
//!
//! Source: <https://docs.stripe.com/currencies#special-cases>, `#zero-decimal`.

use domain::values::Money;

/// The amount as Stripe counts it; `None` if Stripe cannot count it.
pub(super) fn wire_amount(money: Money) -> Option<i64> {
    match money.currency().as_str() {
        // No minor unit by ISO, two decimals at Stripe.
        "ISK" | "UGX" => money.amount().checked_mul(100),
        // Two decimals by ISO, none at Stripe.
        "MGA" => (money.amount() % 100 == 0).then_some(money.amount() / 100),
        // Three decimals, the last of which must be 0.
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => {
            (money.amount() % 10 == 0).then_some(money.amount())
        }
        _ => Some(money.amount()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(amount: i64, currency: &str) -> Option<i64> {
        wire_amount(Money::new(amount, currency.parse().unwrap()).unwrap())
    }

    #[test]
    fn amounts_are_counted_as_stripe_counts_them() {
        assert_eq!(wire(1_095, "GBP"), Some(1_095));
        assert_eq!(wire(1_095, "JPY"), Some(1_095));
        assert_eq!(wire(1_095, "ISK"), Some(109_500));
        assert_eq!(wire(1_000, "MGA"), Some(10));
        assert_eq!(wire(1_095, "MGA"), None);
        assert_eq!(wire(1_090, "KWD"), Some(1_090));
        assert_eq!(wire(1_095, "KWD"), None);
    }
}
